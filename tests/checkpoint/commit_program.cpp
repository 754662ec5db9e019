// commit_program RUN STEP GENERATION [RANK COUNT]: saves one tiny checkpoint, keeping two, alone or
// as one of several ranks that share the model too; the crash tests stop it everywhere.
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/run_lock.h"
#include "src/core/error.h"
#include "tests/checkpoint/rank_contents.h"
#include "tests/checkpoint/tiny_checkpoint.h"

int main(int argc, char** argv) {
  using namespace ovid;
  if (argc != 4 && argc != 6) return static_cast<int>(ExitCode::kUsage);
  const std::int64_t step = std::atoll(argv[2]);
  checkpoint::WritingRanks ranks;
  if (argc == 6) {
    ranks = {.rank = std::atoi(argv[4]),
             .count = std::atoi(argv[5]),
             .attempt = 12345,
             .timeout_seconds = 0.3};
  }
  try {
    std::optional<checkpoint::RunLock> lock;
    if (ranks.rank == 0) lock.emplace(argv[1]);
    const checkpoint::TinyCheckpoint tiny(step, std::atoi(argv[3]));
    checkpoint::CheckpointContent content = tiny.content();
    if (ranks.count > 1) content = checkpoint::share_of(tiny.content(), ranks, true);
    checkpoint::write_checkpoint(argv[1], step, content, {.keep_last = 2});
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
