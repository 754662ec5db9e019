#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/error.h"

// The commands of `ovid`, each with its options as parsed. Data goes to standard output, messages
// to standard error. They throw the errors of src/core/error.h.
namespace ovid::cli {

struct TrainOptions {
  std::string config;
  std::vector<std::string> overrides;  // "key=value"
  int processes = 1;
};
ExitCode run_train(const TrainOptions& options);

struct GenerateOptions {
  std::string model;
  std::optional<std::string> prompt;
  std::string prompt_ids;  // "1,2,3"
  std::int64_t max_new_tokens = 64;
  double temperature = 1.0;
  std::int64_t top_k = 0;
  double top_p = 1.0;
  std::optional<std::uint64_t> seed;  // absent: drawn, and printed
  std::int64_t samples = 1;
  int threads = 0;  // 0: all cores of this process
  bool json = false;
};
ExitCode run_generate(const GenerateOptions& options);

struct EvalOptions {
  std::string model;
  std::vector<std::string> data;
  std::int64_t length = 0;  // 0: the model's context
  int threads = 0;
  bool json = false;
};
ExitCode run_eval(const EvalOptions& options);

struct CheckpointOptions {
  std::string directory;
  bool json = false;
};
ExitCode run_checkpoint_verify(const CheckpointOptions& options);
ExitCode run_checkpoint_inspect(const CheckpointOptions& options);

struct ConfigOptions {
  std::string key_or_file;
  std::vector<std::string> overrides;
};
ExitCode run_config_explain(const ConfigOptions& options);
ExitCode run_config_show(const ConfigOptions& options);
ExitCode run_config_reference();

}  // namespace ovid::cli
