#include "src/checkpoint/adapter_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/json_text.h"
#include "src/checkpoint/model_tensors.h"
#include "src/checkpoint/safetensors.h"
#include "src/checkpoint/staged_destination.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kB = ".lora_B.weight";
constexpr std::int64_t kMostRank = 65'536;

// A linear that may have an adapter, by its name in a block; whether `config` gives it one.
struct Linear {
  std::string_view name;
  bool model::LowRankConfig::*adapted;
  std::int64_t in, out;  // in widths of the model
};
constexpr std::array<Linear, 4> kLinears = {{
    {"attn.c_attn", &model::LowRankConfig::qkv, 1, 3},
    {"attn.c_proj", &model::LowRankConfig::projection, 1, 1},
    {"mlp.c_fc", &model::LowRankConfig::expand, 1, 4},
    {"mlp.c_proj", &model::LowRankConfig::contract, 4, 1},
}};

bool is_b(std::string_view name) {
  return name.ends_with(kB);
}

// (rows, columns) of `from` as (columns, rows).
void transpose(const kernels::ConstView& from, float* to) {
  const std::int64_t rows = from.rows(), columns = from.columns();
  const float* const values = from.data<float>();
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) to[j * rows + i] = values[i * from.row_stride() + j];
  }
}

std::string config_text(const model::LowRankConfig& config, const std::string& base) {
  // Whole names: "c_proj" alone would mean two linears of a block.
  std::vector<std::string_view> targets;
  for (const Linear& linear : kLinears) {
    if (config.*linear.adapted) targets.push_back(linear.name);
  }
  const nlohmann::ordered_json document = {
      {"peft_type", "LORA"},
      {"task_type", "CAUSAL_LM"},
      {"base_model_name_or_path", base},
      {"r", config.rank},
      {"lora_alpha", config.alpha},
      {"lora_dropout", 0.0},
      {"target_modules", targets},
      {"fan_in_fan_out", true},  // GPT-2's linears are Conv1D: (in, out)
      {"bias", "none"},
      {"modules_to_save", nullptr},
      {"init_lora_weights", true},
      {"inference_mode", true},
  };
  return document.dump(2) + "\n";
}

[[noreturn]] void refuse(const Path& path, const std::string& reason) {
  throw CheckpointError(fmt::format("{}: {}", path.string(), reason));
}

bool is_set(const Json& config, const char* key) {
  const auto value = config.find(key);
  if (value == config.end() || value->is_null()) return false;
  if (value->is_boolean()) return value->get<bool>();
  return !(value->is_array() || value->is_object()) || !value->empty();
}

// Settings of PEFT that change what is computed, and that Ovid does not compute.
void refuse_other_methods(const Json& config, const Path& path) {
  if (config.at("peft_type") != "LORA") {
    refuse(path, fmt::format("peft_type is {}; only LORA is read",
                             printable(config.at("peft_type").dump())));
  }
  for (const char* key :
       {"use_dora", "use_qalora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern",
        "layer_replication", "target_parameters", "trainable_token_indices", "megatron_config",
        "arrow_config", "kasa_config", "monteclora_config", "velora_config", "use_bdlora",
        "alora_invocation_tokens"}) {
    if (!is_set(config, key)) continue;
    refuse(path, fmt::format("{} is set, which Ovid does not compute; merge the adapter with "
                             "PEFT's merge_and_unload and load the model that it makes",
                             key));
  }
  // Those of other words are drawn by taking something from the base model's weights.
  const Json drawn = config.value("init_lora_weights", Json(true));
  if (drawn.is_string() && drawn != "gaussian" && drawn != "orthogonal") {
    refuse(path, fmt::format("init_lora_weights is {}, which changes the base model; merge the "
                             "adapter with PEFT's merge_and_unload",
                             printable(drawn.dump())));
  }
  const std::string bias = config.value("bias", std::string("none"));
  if (bias != "none") {
    refuse(path, fmt::format("bias is {}; only adapters with bias none are read, merge this one "
                             "with PEFT's merge_and_unload",
                             printable(bias)));
  }
}

// Rank and alpha; the linears are told by the tensors.
model::LowRankConfig parse_config(const Path& path) {
  const std::string text = read_json_file(path);
  try {
    const Json config = Json::parse(text);
    refuse_other_methods(config, path);
    const Json& rank = config.at("r");
    if (!rank.is_number_integer() || rank < 1 || rank > kMostRank) {
      refuse(path, fmt::format("r is {}, wanted is a whole number from 1 to {}",
                               printable(rank.dump()), kMostRank));
    }
    model::LowRankConfig parsed{.rank = rank.get<std::int64_t>()};
    parsed.alpha = config.at("lora_alpha").get<double>();
    if (config.value("use_rslora", false))
      parsed.alpha *= std::sqrt(static_cast<double>(parsed.rank));
    if (!std::isfinite(parsed.alpha))
      refuse(path, fmt::format("lora_alpha is {}, which is no number", parsed.alpha));
    return parsed;
  } catch (const Json::exception& error) {
    refuse(path, fmt::format("it is no adapter_config.json: {}", error.what()));
  }
}

SafetensorsFile open_tensors(const Path& adapter) {
  if (!std::filesystem::exists(adapter / kAdapterTensors)) {
    refuse(adapter, fmt::format("there is an {} but no {}; save the adapter with PEFT's "
                                "save_pretrained(safe_serialization=True)",
                                kAdapterConfig, kAdapterTensors));
  }
  return SafetensorsFile(adapter / kAdapterTensors);
}

// Names as in the model, without "transformer.".
std::string_view short_name(std::string_view name) {
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  return without_prefix(name);
}

bool is_of(std::string_view name, const Linear& linear) {
  return name.find(fmt::format(".{}.lora_", linear.name)) != std::string_view::npos;
}

// Which linears some tensor belongs to.
void note_linears(const SafetensorsFile& file, model::LowRankConfig& config) {
  for (const std::string& name : file.names()) {
    for (const Linear& linear : kLinears) {
      if (is_of(name, linear)) config.*linear.adapted = true;
    }
  }
}

struct Expected {
  std::string name;  // without "transformer."
  kernels::Shape shape;
};

std::vector<Expected> expected_tensors(const model::ModelConfig& base,
                                       const model::LowRankConfig& config) {
  std::vector<Expected> all;
  for (std::int64_t layer = 0; layer < base.layers; ++layer) {
    for (const Linear& linear : kLinears) {
      if (!(config.*linear.adapted)) continue;
      const std::string name = fmt::format("h.{}.{}", layer, linear.name);
      all.push_back({name + ".lora_A.weight", {config.rank, linear.in * base.width}});
      all.push_back({name + std::string(kB), {linear.out * base.width, config.rank}});
    }
  }
  return all;
}

std::string joined(const std::vector<std::string>& problems) {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kShown); ++i) text += "\n  " + problems[i];
  if (problems.size() > kShown) text += fmt::format("\n  and {} more", problems.size() - kShown);
  return text;
}

void check_tensors(const SafetensorsFile& file, const model::ModelConfig& base,
                   const model::LowRankConfig& config) {
  std::map<std::string_view, const StoredTensor*, std::less<>> unknown;
  std::vector<std::string> problems;
  const std::vector<std::string> names = file.names();
  for (const std::string& name : names) {
    if (!unknown.emplace(short_name(name), &file.tensor(name)).second)
      problems.push_back(
          fmt::format("'{}' is there twice", printable(std::string(short_name(name)))));
  }
  for (const Expected& want : expected_tensors(base, config)) {
    const auto found = unknown.find(want.name);
    if (found == unknown.end()) {
      problems.push_back(fmt::format("'{}' {} is missing", want.name, want.shape.text()));
      continue;
    }
    if (!same_shape(found->second->shape, want.shape)) {
      problems.push_back(fmt::format("'{}' is {}, wanted is {}", want.name,
                                     shape_text(found->second->shape), want.shape.text()));
    }
    unknown.erase(found);
  }
  for (const auto& [name, tensor] : unknown)
    problems.push_back(fmt::format("'{}' belongs to no linear of this model's {} blocks",
                                   printable(std::string(name)), base.layers));
  if (names.empty()) problems.push_back("it holds no tensor");
  if (problems.empty()) return;
  refuse(file.path(),
         fmt::format("it is no adapter of rank {} for a model of {} layers, width {}:{}",
                     config.rank, base.layers, base.width, joined(problems)));
}

}  // namespace

std::map<std::string, std::string> adapter_texts(const model::LowRankConfig& config,
                                                 std::span<const NamedTensor> tensors,
                                                 const std::string& base) {
  std::vector<std::vector<float>> values;  // of B, turned
  std::vector<NamedTensor> stored;
  for (const NamedTensor& tensor : tensors) {
    const std::string name = std::string(kPrefix) + tensor.name;
    if (!is_b(tensor.name)) {
      stored.push_back({name, tensor.view, tensor.device});
      continue;
    }
    const auto count = static_cast<std::size_t>(tensor.view.elements());
    std::vector<float> fetched(count);
    const kernels::View host(fetched.data(), kernels::DType::kFloat32, tensor.view.shape());
    memory::copy_to_host(tensor.device, host, tensor.view);
    memory::synchronize(tensor.device);
    std::vector<float>& turned = values.emplace_back(count);
    transpose(host, turned.data());
    const kernels::Shape shape{host.columns(), host.rows()};
    stored.push_back({name, kernels::ConstView(turned.data(), kernels::DType::kFloat32, shape)});
  }
  const std::string folder = std::string(kAdapterFolder) + "/";
  return {{folder + kAdapterConfig, config_text(config, base)},
          {folder + kAdapterTensors, safetensors_text(stored, {{"format", "pt"}})}};
}

std::optional<Path> find_adapter(const Path& directory) {
  for (const Path& place : {directory / kAdapterFolder, directory}) {
    if (std::filesystem::exists(place / kAdapterConfig)) return place;
  }
  return std::nullopt;
}

Path base_model_directory(const Path& directory) {
  const Path path = directory / kAdapterConfig;
  if (std::filesystem::exists(directory / "config.json") || !std::filesystem::exists(path))
    return directory;
  std::string base;
  try {
    base = Json::parse(read_json_file(path)).at("base_model_name_or_path").get<std::string>();
  } catch (const Json::exception& error) {
    refuse(path, fmt::format("it names no base model: {}", error.what()));
  }
  for (const Path& place : {directory / base, Path(base)}) {
    if (!base.empty() && std::filesystem::exists(place / "config.json")) return place;
  }
  refuse(path, fmt::format("the adapters belong to the model '{}', and there is no such folder "
                           "here; get that model and write its folder into base_model_name_or_path",
                           printable(base)));
}

model::LowRankConfig read_adapter_config(const Path& adapter, const model::ModelConfig& base) {
  model::LowRankConfig config = parse_config(adapter / kAdapterConfig);
  const SafetensorsFile file = open_tensors(adapter);
  note_linears(file, config);
  check_tensors(file, base, config);
  return config;
}

void read_adapter(const Path& adapter, const model::ModelConfig& base,
                  std::span<const NamedDestination> destinations) {
  read_adapter_config(adapter, base);
  const SafetensorsFile file = open_tensors(adapter);
  std::map<std::string, const StoredTensor*, std::less<>> stored;
  for (const std::string& name : file.names())
    stored[std::string(short_name(name))] = &file.tensor(name);
  for (const NamedDestination& destination : destinations) {
    const auto found = stored.find(without_prefix(destination.name));
    if (found == stored.end())
      refuse(file.path(), fmt::format("'{}' is missing", destination.name));
    fill_destination(destination, [&](const kernels::View& view) {
      if (!is_b(destination.name)) return read_as_float32(*found->second, view, destination.name);
      std::vector<float> turned(static_cast<std::size_t>(view.elements()));
      const kernels::Shape shape{view.columns(), view.rows()};
      const kernels::View whole(turned.data(), kernels::DType::kFloat32, shape);
      read_as_float32(*found->second, whole, destination.name);
      transpose(whole, view.data<float>());
    });
  }
}

}  // namespace ovid::checkpoint
