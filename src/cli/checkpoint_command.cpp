#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/checkpoint/run_checkpoint.h"
#include "src/cli/commands.h"
#include "src/cli/standard_output.h"

namespace ovid::cli {
namespace {

void check_directory(const std::string& directory) {
  if (!std::filesystem::is_directory(directory)) {
    throw CheckpointError(
        fmt::format("{} is not a folder: give a checkpoint or model directory, such as "
                    "runs/demo/checkpoints/step-00001000",
                    directory));
  }
}

}  // namespace

ExitCode run_checkpoint_verify(const CheckpointOptions& options) {
  check_directory(options.directory);
  const std::vector<std::string> problems = checkpoint::verify(options.directory);
  if (options.json) {
    print_line(nlohmann::ordered_json{
        {"path", options.directory}, {"valid", problems.empty()}, {"problems", problems}}
                   .dump());
  } else {
    for (const std::string& problem : problems) print_line(problem);
    print_line(problems.empty()
                   ? options.directory + ": all right"
                   : fmt::format("{}: {} problems", options.directory, problems.size()));
  }
  return problems.empty() ? ExitCode::kDone : ExitCode::kNoCheckpoint;
}

ExitCode run_checkpoint_inspect(const CheckpointOptions& options) {
  check_directory(options.directory);
  print_line(options.json ? checkpoint::inspect_json(options.directory)
                          : checkpoint::inspect_text(options.directory));
  return ExitCode::kDone;
}

}  // namespace ovid::cli
