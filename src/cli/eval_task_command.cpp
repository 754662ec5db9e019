#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/standard_output.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "src/core/stopwatch.h"
#include "src/evaluation/task.h"
#include "src/metrics/progress_line.h"
#include "src/training/parameter_files.h"

namespace ovid::cli {
namespace {

// One line on a terminal, drawn again at most ten times a second, with the time that is left of the
// stage at its speed so far; nothing elsewhere.
class StageProgress {
 public:
  StageProgress() : terminal_(::isatty(STDERR_FILENO) != 0) {}

  void show(std::string_view stage, std::int64_t done, std::int64_t all) {
    if (!terminal_) return;
    if (stage != stage_) {
      stage_ = stage;
      since_ = Stopwatch();
      drawn_ = 0;
    }
    const double seconds = since_.seconds();
    if (done < all && seconds - drawn_ < 0.1) return;
    drawn_ = seconds;
    const double left = seconds * static_cast<double>(all - done) / static_cast<double>(done);
    fmt::print(stderr, "\r\033[K");
    if (done < all) {
      fmt::print(stderr, "{}: {} of {}, ETA {}", stage, done, all, metrics::format_duration(left));
    }
    std::fflush(stderr);
  }

 private:
  bool terminal_;
  std::string stage_;
  Stopwatch since_;
  double drawn_ = 0;
};

void check_options(const EvalOptions& options) {
  if (options.length != 0)
    throw UsageError("--length is about windows of token shards: leave it out with --task");
  if (options.data.size() != 1) {
    throw UsageError(
        fmt::format("--data names {} things, and --task wants one folder", options.data.size()));
  }
  for (const std::string& name : options.output) {
    evaluation::as_file({}, name);  // refuses an unknown format before the work, not after it
    const Path folder = Path(name).parent_path();
    if (folder.empty() || std::filesystem::is_directory(folder)) continue;
    throw UsageError(fmt::format("--output {}: there is no folder {}", name, folder.string()));
  }
}

tokenizer::Tokenizer load_tokenizer(const std::string& model) {
  const auto where = training::find_tokenizer(model);
  if (where) return tokenizer::Tokenizer::load(where->string());
  throw CheckpointError(fmt::format(
      "{} has no tokenizer (vocab.json and merges.txt), which a task needs for its texts: copy the "
      "tokenizer's files there",
      model));
}

tokenizer::ControlWords control_words_of(const EvalOptions& options) {
  const auto words = tokenizer::load_control_words(options.model);
  if (!words) return {};
  if (!words->task.empty() && words->task != options.task) {
    log::warning(fmt::format("{} was trained for {}, and is measured for {}", options.model,
                             words->task, options.task));
  }
  return *words;
}

}  // namespace

ExitCode run_eval_task(const EvalOptions& options) {
  const evaluation::Task& task = evaluation::find_task(options.task);
  check_options(options);
  evaluation::check_settings(options.settings);
  const tokenizer::Tokenizer tokenizer = load_tokenizer(options.model);
  const tokenizer::ControlWords control = control_words_of(options);
  const memory::OpenTarget open = open_target(options.device);
  const training::LoadedModel model = training::load_model(options.model, open.target);
  if (tokenizer.vocabulary_size() > model.config.vocabulary_size) {
    throw CheckpointError(fmt::format(
        "the tokenizer in {} has {} tokens and the model {}: they do not belong together",
        options.model, tokenizer.vocabulary_size(), model.config.vocabulary_size));
  }
  StageProgress progress;
  const generation::GenerationModel generating{
      .config = model.config, .weights = model.weights.views(), .target = open.target};
  const evaluation::TaskReport report =
      task.run({.model = generating,
                .tokenizer = tokenizer,
                .control = control,
                .model_directory = options.model,
                .data = options.data.front(),
                .settings = options.settings,
                .on_progress = [&](std::string_view stage, std::int64_t done, std::int64_t all) {
                  progress.show(stage, done, all);
                }});
  print(options.json ? report.json + "\n" : evaluation::as_text(report));
  for (const std::string& name : options.output) {
    replace_file(name, evaluation::as_file(report, name));
    log::info(fmt::format("written: {}", name));
  }
  return ExitCode::kDone;
}

}  // namespace ovid::cli
