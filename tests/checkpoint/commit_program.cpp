// commit_program RUN STEP GENERATION: saves one tiny checkpoint, keeping two; the crash tests stop
// it everywhere.
#include <cstdio>
#include <cstdlib>

#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/error.h"
#include "tests/checkpoint/tiny_checkpoint.h"

int main(int argc, char** argv) {
  using namespace ovid;
  if (argc != 4) return static_cast<int>(ExitCode::kUsage);
  const std::int64_t step = std::atoll(argv[2]);
  try {
    const checkpoint::RunLock lock(argv[1]);
    const checkpoint::TinyCheckpoint tiny(step, std::atoi(argv[3]));
    checkpoint::write_checkpoint(argv[1], step, tiny.content(), {.keep_last = 2});
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
