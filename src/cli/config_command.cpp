#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/config/config.h"

namespace ovid::cli {

ExitCode run_config_explain(const ConfigOptions& options) {
  print(config::explain(options.key_or_file));
  return ExitCode::kDone;
}

ExitCode run_config_show(const ConfigOptions& options) {
  print(config::show(config::load(options.key_or_file, options.overrides)));
  return ExitCode::kDone;
}

ExitCode run_config_reference() {
  print(config::reference_markdown());
  return ExitCode::kDone;
}

}  // namespace ovid::cli
