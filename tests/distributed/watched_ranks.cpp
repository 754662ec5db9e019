// A small training loop of several ranks under everything that watches them, for the faults of
// rank_faults_test.cpp:
//   watched_ranks DIRECTORY RANKS STEPS
// starts the ranks of this machine, each of which is this program again.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "src/core/log.h"
#include "src/core/program.h"
#include "src/core/stopwatch.h"
#include "src/distributed/fault_injector.h"
#include "src/distributed/local_launcher.h"
#include "src/distributed/straggler_score.h"
#include "src/distributed/watchdog.h"
#include "src/distributed/weight_hash.h"
#include "src/distributed/world.h"

namespace ovid::distributed {
namespace {

constexpr std::int64_t kWeights = 5000;
constexpr int kEvaluationEvery = 4;
constexpr int kCheckpointEvery = 10;
constexpr int kHashEvery = 5;

class Rank {
 public:
  Rank(const Path& directory, World world)
      : directory_(directory),
        world_(std::move(world)),
        communicator_(*world_.communicator),
        faults_(FaultInjector::from_environment(world_.ranks)),
        scores_(world_.ranks.count, {.limit = 0.5, .window_steps = 8}),
        watchdog_(communicator_, {.timeouts = {.initial_seconds = 20, .least_seconds = 2},
                                  .flight_directory = directory / "flight",
                                  .grace_seconds = 1}) {}

  void run(std::int64_t steps) {
    try {
      for (std::int64_t step = 1; step <= steps; ++step) {
        take_step(step);
        if (step % kEvaluationEvery == 0) pass(Section::kEvaluation, step);
        if (step % kCheckpointEvery == 0) {
          compare(step);
          pass(Section::kCheckpoint, step);
        }
      }
    } catch (const Error& e) {
      watchdog_.dump_failure(e.what());
      throw;
    }
    if (communicator_.rank() == 0) fmt::print("weights {}\n", weights_[0]);
  }

 private:
  kernels::View row(std::vector<float>& values) const {
    return {values.data(), kernels::DType::kFloat32, kernels::Shape{kWeights}};
  }

  void take_step(std::int64_t step) {
    watchdog_.enter(Section::kStep, step);
    const Stopwatch stopwatch;
    const kernels::View weights = row(weights_);
    faults_.corrupt(std::span(&weights, 1), step);
    faults_.reach(Section::kStep, step, communicator_);
    std::fill(gradients_.begin(), gradients_.end(), 1.0f);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const double own = stopwatch.seconds();
    communicator_.wait(communicator_.begin_all_reduce(row(gradients_), "gradients"));
    for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i] += gradients_[i];
    std::vector<double> seconds(static_cast<std::size_t>(communicator_.count()));
    communicator_.exchange(std::as_bytes(std::span(&own, 1)),
                           std::as_writable_bytes(std::span(seconds)), "step facts");
    for (const std::string& news : scores_.note(step, seconds)) {
      if (communicator_.rank() == 0) log::warning(news);
    }
    if (step % kHashEvery == 0) compare(step);
  }

  void compare(std::int64_t step) {
    check_weight_hashes(communicator_, {.views = {row(weights_)}, .names = {"w"}}, step,
                        last_clean_);
    last_clean_ = step;
  }

  void pass(Section section, std::int64_t step) {
    watchdog_.enter(section, step);
    faults_.reach(section, step, communicator_);
    communicator_.barrier(name_of(section));
    watchdog_.enter(Section::kStep, step);
  }

  Path directory_;
  World world_;
  Communicator& communicator_;
  FaultInjector faults_;
  StragglerScores scores_;
  std::vector<float> weights_ = std::vector<float>(kWeights, 1.0f);
  std::vector<float> gradients_ = std::vector<float>(kWeights, 0.0f);
  std::int64_t last_clean_ = -1;
  Watchdog watchdog_;
};

ExitCode run(int argc, char** argv) {
  if (argc != 4) throw UsageError("usage: watched_ranks DIRECTORY RANKS STEPS");
  if (std::getenv("OVID_RANK") == nullptr) {
    const int code = run_local_ranks({.command = {argv[0], argv[1], argv[2], argv[3]},
                                      .processes = std::atoi(argv[2]),
                                      .grace_seconds = 3});
    return static_cast<ExitCode>(code);
  }
  // As in a training run, a thread would wait for it: the ranks end by what they learn of others.
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Watchdog::block_signal();
  Rank(argv[1], join_world()).run(std::atoi(argv[3]));
  return ExitCode::kDone;
}

}  // namespace
}  // namespace ovid::distributed

int main(int argc, char** argv) {
  return static_cast<int>(ovid::run_guarded([&] { return ovid::distributed::run(argc, argv); }));
}
