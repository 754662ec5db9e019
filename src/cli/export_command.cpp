#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kernels/cpu/parallel_for.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/standard_output.h"

#include "src/memory/buffer.h"
#include "src/model/parameters.h"
#include "src/training/model_export.h"

namespace ovid::cli {

ExitCode run_checkpoint_export(const CheckpointExportOptions& options) {
  const int threads = options.threads > 0 ? options.threads : kernels::cpu::available_threads();
  const Path output =
      training::export_model(options.directory, options.output,
                             {.threads = threads, .dtype = dtype_of(options.precision)});
  const std::int64_t parameters = model::parameter_count(checkpoint::read_model_config(output));
  const std::uint64_t bytes = size_of_file(output / "model.safetensors");
  if (options.json) {
    print_line(nlohmann::ordered_json{{"path", options.output},
                                      {"parameters", parameters},
                                      {"bytes", bytes},
                                      {"precision", options.precision}}
                   .dump());
  } else {
    print_line(
        fmt::format("{}: {} parameters in {}, {}. Try: ovid generate --model {} --prompt "
                    "\"...\"",
                    options.output, parameters, options.precision, memory::readable_bytes(bytes),
                    options.output));
  }
  return ExitCode::kDone;
}

}  // namespace ovid::cli
