#include "tests/end_to_end/tiny_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "src/core/checksum.h"
#include "src/core/file.h"

namespace ovid::test {
namespace {

// Words in a pattern that a small model can learn, and that never repeats exactly.
std::string text() {
  const char* const words[] = {"the ",   "bird ", "sang ",  "over ", "a ",
                               "river ", "of ",   "stone ", "and ",  "light. "};
  std::string out;
  for (unsigned i = 0; i < 6000; ++i) out += words[(i * i + i / 7) % 10];
  return out;
}

}  // namespace

std::string program(const std::string& name) {
  return (binary_directory() / name).string();
}

TinyRun::TinyRun(int steps) {
  replace_file(folder_ / "text.txt", text());
  const ProcessResult data =
      run_process({program("ovid-data"), "text", "--input", path("text.txt"), "--output",
                   path("data"), "--tokenizer", "bytes", "--validation-fraction", "0.1"});
  if (data.exit_code != 0) throw std::runtime_error("ovid-data text failed: " + data.errors);
  replace_file(folder_ / "config.yaml",
               fmt::format(R"(run: {{name: demo, directory: {0}/runs, seed: 7}}
device: {{kind: cpu, threads: 1}}
model: {{layers: 2, heads: 2, width: 32, context_length: 32, dropout: 0.1}}
data: {{train: ["{0}/data/train_*.bin"], validation: ["{0}/data/validation_*.bin"]}}
batch: {{sequences: 12, micro_sequences: 4, length: 32}}
optimizer: {{learning_rate: 1.0e-3}}
schedule: {{warmup_steps: {2}}}
training: {{steps: {1}}}
validation: {{every_steps: 10, sequences: 8}}
checkpoint: {{every_steps: 10, keep_last: 3}}
samples: {{every_steps: 0}}
)",
                           folder_.path().string(), steps, std::min(steps, 5)));
}

std::string TinyRun::checkpoint(int step, const std::string& name) const {
  return fmt::format("{}/checkpoints/step-{:08}", run_directory(name), step);
}

std::vector<std::string> TinyRun::train_command(const std::vector<std::string>& overrides) const {
  std::vector<std::string> command{program("ovid"), "train", path("config.yaml")};
  command.insert(command.end(), overrides.begin(), overrides.end());
  return command;
}

std::string weights_and_moments(const std::string& checkpoint) {
  const auto digest = [&](const char* file) {
    const MappedFile mapped(Path(checkpoint) / file);
    return checksum_of(mapped.bytes());
  };
  return digest("model.safetensors") + digest("optimizer-00000.safetensors");
}

std::vector<std::string> losses_by_step(const std::string& run_directory) {
  std::map<long, std::string> rows;
  std::istringstream lines(read_file(Path(run_directory) / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line);
    if (!row.contains("loss")) continue;
    rows[row["step"]] =
        row["loss"].dump() + " " + row["gradient_norm"].dump() + " " + row["tokens"].dump();
  }
  std::vector<std::string> values;
  for (const auto& [step, value] : rows) values.push_back(fmt::format("{}: {}", step, value));
  return values;
}

}  // namespace ovid::test
