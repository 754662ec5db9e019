// What a checkpoint costs a training run: weights and both moments of a GPT-2 saved by
// write_checkpoint, which holds the training up, and by AsyncCheckpointWriter, beside which it goes
// on. JSON lines: {"event": "ready", "bytes", ...}; for each round one of "synchronous" and one of
// "asynchronous"; {"event": "done"} with medians. Every round takes some steps with no checkpoint
// first, so that all figures of a round are of the same minute:
//   step_ms        a step with no write beside it
//   blocked_ms     the time that save() takes
//   slowdown_ms    the time that the steps beside the write took longer than as many without
//   cost_ms        what the checkpoint costs the run: blocked_ms + slowdown_ms
//   durable_ms     from the call to the commit
// "prepared" tells the time that taking the copy's memory took before; with --unprepared the first
// save does it. With --idle no steps are taken. The files lie in one checkpoint below --directory,
// removed at the end.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "benchmarks/synthetic_run.h"
#include "src/checkpoint/async_writer.h"
#include "src/core/file.h"
#include "src/core/program.h"
#include "src/training/run_tensors.h"
#include "src/training/training_step.h"

namespace {

using Clock = std::chrono::steady_clock;

using ovid::benchmarks::plan_of;
using ovid::benchmarks::synthetic_batch;

struct Options : ovid::benchmarks::SyntheticRun {
  int rounds = 3, steps = 3;
  bool idle = false, unprepared = false;
  std::string directory = ".";
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// A run that takes steps, and what it would save.
class Run {
 public:
  explicit Run(const Options& options)
      : options_(options), plan_(plan_of(options)), step_(plan_), batch_(synthetic_batch(options)) {
    ovid::model::initialise(step_.weights(), plan_.model, 1);
    content_ = ovid::training::content_of(plan_, step_);
    content_.state_json = "{}";
    take_step();  // touches all memory
  }

  double take_step() {
    const Clock::time_point start = Clock::now();
    step_.run(batch_, number_ * options_.batch, number_);
    ++number_;
    return milliseconds_since(start);
  }

  double undisturbed_step() {
    if (options_.idle) return 0;
    std::vector<double> times;
    for (int i = 0; i < options_.steps; ++i) times.push_back(take_step());
    return median(times);
  }

  const ovid::checkpoint::CheckpointContent& content() const { return content_; }
  int threads() const { return plan_.target().threads; }

 private:
  const Options& options_;
  ovid::training::RunPlan plan_;
  ovid::training::TrainingStep step_;
  ovid::data::TokenBatch batch_;
  ovid::checkpoint::CheckpointContent content_;
  std::int64_t number_ = 0;
};

double megabytes_per_second(double bytes, double milliseconds) {
  return bytes / 1e6 / (milliseconds / 1e3);
}

double synchronous_round(Run& run, const ovid::Path& directory, double bytes) {
  const double step = run.undisturbed_step();
  const Clock::time_point start = Clock::now();
  ovid::checkpoint::write_checkpoint(directory, 1, run.content(), {});
  const double blocked = milliseconds_since(start);
  fmt::print(
      "{{\"event\":\"synchronous\",\"step_ms\":{:.1f},\"blocked_ms\":{:.1f},\"cost_ms\":{:.1f},"
      "\"durable_ms\":{:.1f},\"megabytes_per_second\":{:.0f}}}\n",
      step, blocked, blocked, blocked, megabytes_per_second(bytes, blocked));
  return blocked;
}

double asynchronous_round(Run& run, ovid::checkpoint::AsyncCheckpointWriter& writer, bool idle,
                          double bytes) {
  const double step = run.undisturbed_step();
  const Clock::time_point start = Clock::now();
  writer.save(1, run.content(), {});
  const double blocked = milliseconds_since(start);
  double beside = 0;
  int steps = 0;
  for (; !idle && writer.writing(); ++steps) beside += run.take_step();
  const auto saved = writer.wait();
  const double slowdown = beside - steps * step;
  const double durable = saved ? blocked + saved->write_seconds * 1e3 : 0;
  fmt::print(
      "{{\"event\":\"asynchronous\",\"step_ms\":{:.1f},\"blocked_ms\":{:.1f},\"slowdown_ms\":{:.1f}"
      ","
      "\"cost_ms\":{:.1f},\"steps_beside\":{},\"durable_ms\":{:.1f},\"megabytes_per_second\":{:.0f}"
      "}}\n",
      step, blocked, slowdown, blocked + slowdown, steps, durable,
      megabytes_per_second(bytes, durable));
  return blocked + slowdown;
}

ovid::ExitCode measure(const Options& o) {
  const ovid::Path directory = ovid::Path(o.directory) / "benchmark-checkpoint-run";
  if (std::filesystem::exists(directory)) {
    throw ovid::UsageError(
        fmt::format("{} is there already: remove it or choose another folder", directory.string()));
  }
  Run run(o);
  ovid::make_directories(directory);
  const auto bytes = static_cast<double>(ovid::checkpoint::snapshot_bytes(run.content()));
  fmt::print("{{\"event\":\"ready\",\"program\":\"ovid\",\"threads\":{},\"bytes\":{:.0f}}}\n",
             run.threads(), bytes);
  std::fflush(stdout);
  std::vector<double> synchronous, asynchronous;
  {
    ovid::checkpoint::AsyncCheckpointWriter writer(directory, run.threads());
    if (!o.unprepared) {
      const Clock::time_point start = Clock::now();
      writer.prepare(run.content());
      fmt::print("{{\"event\":\"prepared\",\"milliseconds\":{:.1f}}}\n", milliseconds_since(start));
    }
    for (int round = 0; round < o.rounds; ++round) {
      synchronous.push_back(synchronous_round(run, directory, bytes));
      std::fflush(stdout);
      asynchronous.push_back(asynchronous_round(run, writer, o.idle, bytes));
      std::fflush(stdout);
    }
  }
  std::filesystem::remove_all(directory);
  fmt::print(
      "{{\"event\":\"done\",\"synchronous_cost_ms\":{:.1f},\"asynchronous_cost_ms\":{:.1f}}}\n",
      median(synchronous), median(asynchronous));
  return ovid::ExitCode::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times checkpoints of a GPT-2 beside training steps");
  app.add_option("--layers", o.layers);
  app.add_option("--heads", o.heads);
  app.add_option("--width", o.width);
  app.add_option("--vocabulary", o.vocabulary);
  app.add_option("--batch", o.batch);
  app.add_option("--length", o.length);
  app.add_option("--threads", o.threads);
  app.add_option("--rounds", o.rounds);
  app.add_option("--steps", o.steps, "steps without a checkpoint before each save");
  app.add_flag("--idle", o.idle, "take no steps");
  app.add_flag("--unprepared", o.unprepared, "let the first save take the memory of the copy");
  app.add_option("--directory", o.directory, "where the checkpoint is written, and removed");
  CLI11_PARSE(app, argc, argv);
  return static_cast<int>(ovid::run_guarded([&] { return measure(o); }));
}
