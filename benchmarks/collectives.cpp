// All-reduce of rows of the host's memory between ranks, one thread each. Rank 0 prints JSON lines
//   {"name", "ranks", "bytes", "rounds", "median_ms", "best_ms", "gigabytes_per_second"}
// where the last is bytes / median: what the caller sees, whatever moves underneath. Ranks come
// from --processes, or from mpirun, srun, and so on. Each round begins with a barrier.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/common/view.h"
#include "src/core/program.h"
#include "src/distributed/local_launcher.h"
#include "src/distributed/world.h"

namespace {

using Clock = std::chrono::steady_clock;
using ovid::kernels::DType;
using ovid::kernels::Shape;
using ovid::kernels::View;

struct Options {
  std::vector<std::int64_t> bytes = {8, 4096, 1 << 20, 32 << 20};
  int rounds = 50;
  int processes = 1;
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void time_all_reduce(ovid::distributed::World& world, std::int64_t bytes, int rounds) {
  ovid::distributed::Communicator& communicator = *world.communicator;
  std::vector<float> row(static_cast<std::size_t>(bytes) / sizeof(float), 1.0f);
  const View view(row.data(), DType::kFloat32, Shape{static_cast<std::int64_t>(row.size())});
  std::vector<double> times;
  // The first ones touch memory for the first time.
  for (int round = -5; round < rounds; ++round) {
    // Sums of ones would overflow after 128 rounds of two ranks.
    if (round % 50 == 0) std::fill(row.begin(), row.end(), 1.0f);
    communicator.barrier("round");
    const Clock::time_point start = Clock::now();
    communicator.wait(communicator.begin_all_reduce(view, "benchmark"));
    if (round >= 0) times.push_back(milliseconds_since(start));
  }
  if (world.ranks.rank != 0) return;
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  fmt::print(
      "{{\"name\": \"all_reduce\", \"ranks\": {}, \"bytes\": {}, \"rounds\": {}, \"median_ms\": "
      "{:.4f}, \"best_ms\": {:.4f}, \"gigabytes_per_second\": {:.3f}}}\n",
      world.ranks.count, bytes, rounds, median, times.front(),
      static_cast<double>(bytes) / 1e6 / median);
}

ovid::ExitCode launch(const Options& options) {
  std::vector<std::string> command = {std::filesystem::read_symlink("/proc/self/exe").string(),
                                      "--rounds", std::to_string(options.rounds), "--bytes"};
  for (const std::int64_t bytes : options.bytes) command.push_back(std::to_string(bytes));
  return static_cast<ovid::ExitCode>(
      ovid::distributed::run_local_ranks({.command = command, .processes = options.processes}));
}

ovid::ExitCode run(const Options& options) {
  if (options.processes > 1) return launch(options);
  ovid::distributed::World world = ovid::distributed::join_world();
  for (const std::int64_t bytes : options.bytes) time_all_reduce(world, bytes, options.rounds);
  return ovid::ExitCode::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("All-reduce between ranks, in GB/s.", "benchmark_collectives");
  app.add_option("--bytes", options.bytes, "sizes of the row")->capture_default_str();
  app.add_option("--rounds", options.rounds, "of each size")->capture_default_str();
  app.add_option("--processes", options.processes, "ranks to start here")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return static_cast<int>(ovid::run_guarded([&] { return run(options); }));
}
