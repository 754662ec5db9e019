#include "src/training/run_start.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/log.h"
#include "src/tokenizer/control_words.h"
#include "src/training/data_passport.h"
#include "src/training/plan_report.h"

namespace ovid::training {
namespace {

// Whole or damaged ones.
bool holds_checkpoints(const RunDirectory& directory) {
  if (!std::filesystem::is_directory(directory.checkpoints())) return false;
  for (const auto& entry : std::filesystem::directory_iterator(directory.checkpoints())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") || name.starts_with(".bad-")) return true;
  }
  return false;
}

}  // namespace

std::optional<checkpoint::FoundCheckpoint> find_start(const RunDirectory& directory) {
  checkpoint::clean_up_unfinished(directory.root);
  auto found = checkpoint::find_newest_valid(directory.root);
  if (!found && holds_checkpoints(directory)) {
    throw CheckpointError(fmt::format(
        "no checkpoint of {} is valid any more (the damaged ones are kept as .bad-*); move the "
        "folder away, or choose another run.name, to start again",
        directory.root.string()));
  }
  return found;
}

void open_run_directory(const RunPlan& plan, const MemoryPlan& memory,
                        const RunDirectory& directory, const tokenizer::Tokenizer* tokenizer) {
  log::open_file(directory.log());
  make_directories(directory.samples());
  replace_file(directory.config(), plan.loaded.resolved_yaml);
  replace_file(directory.environment(), environment_json(plan));
  copy_data_passports(plan, directory.root);
  if (plan.config().batch.micro_sequences == 0 && !plan.canonical())
    write_choices(directory, {.micro_sequences = plan.micro_batch.sequences});
  if (tokenizer != nullptr) {
    tokenizer->save(directory.tokenizer());
    const auto control = tokenizer::load_control_words(plan.tokenizer.value());
    if (control) save_control_words(*control, directory.tokenizer());
  }
  for (const std::string& line : describe_run(plan, memory)) log::info(line);
}

}  // namespace ovid::training
