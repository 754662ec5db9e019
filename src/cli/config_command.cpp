#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/config/config.h"

namespace ovid::cli {

ExitCode run_config_explain(const ConfigOptions& options) {
  if (options.json) {
    print_line(config::explain_json(options.key_or_file));
  } else {
    print(config::explain(options.key_or_file));
  }
  return ExitCode::kDone;
}

ExitCode run_config_show(const ConfigOptions& options) {
  const config::LoadedConfig loaded = config::load(options.key_or_file, options.overrides);
  if (options.json) {
    print_line(config::show_json(loaded));
  } else {
    print(config::show(loaded));
  }
  return ExitCode::kDone;
}

ExitCode run_config_reference() {
  print(config::reference_markdown());
  return ExitCode::kDone;
}

}  // namespace ovid::cli
