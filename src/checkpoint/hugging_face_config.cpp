#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/json_text.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

using nlohmann::json;

// Limits far above every GPT-2, so that products of two sizes stay far below 2^63.
constexpr std::int64_t kMaxLayers = 10'000;
constexpr std::int64_t kMaxWidth = 1 << 20;
constexpr std::int64_t kMaxContext = 1 << 24;
constexpr std::int64_t kMaxVocabulary = 65'536;

// The keys of one config.json, read with its path in every error. An absent key and null are the
// same.
class ConfigReader {
 public:
  explicit ConfigReader(const Path& path) : path_(path.string()) {
    const std::string text = read_json_file(path);
    try {
      json_ = json::parse(text);
    } catch (const json::exception& error) {
      fail(fmt::format("is no JSON: {}", error.what()));
    }
    if (!json_.is_object()) fail("is no JSON object");
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw CheckpointError(fmt::format("{}: {}", path_, printable(reason)));
  }

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }

  std::int64_t size(const char* key, std::int64_t limit) const {
    if (!has(key)) fail(fmt::format("{} is missing", key));
    const json& value = json_.at(key);
    if (!value.is_number_integer() || value < 1 || value > limit) {
      fail(fmt::format("{} = {} is not a whole number from 1 to {}", key, shown(value), limit));
    }
    return value.get<std::int64_t>();
  }

  float number(const char* key, float absent, double low, double high) const {
    if (!has(key)) return absent;
    const json& value = json_.at(key);
    if (!value.is_number() || !(value.get<double>() >= low) || !(value.get<double>() < high)) {
      fail(fmt::format("{} = {} is not a number in [{}, {})", key, shown(value), low, high));
    }
    return static_cast<float>(value.get<double>());
  }

  bool flag(const char* key, bool absent) const {
    if (!has(key)) return absent;
    if (!json_.at(key).is_boolean())
      fail(fmt::format("{} = {} is not true or false", key, shown(json_.at(key))));
    return json_.at(key).get<bool>();
  }

  std::string word(const char* key, const char* absent) const {
    if (!has(key)) return absent;
    if (!json_.at(key).is_string())
      fail(fmt::format("{} = {} is not a string", key, shown(json_.at(key))));
    return json_.at(key).get<std::string>();
  }

 private:
  static std::string shown(const json& value) {
    return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 80);
  }

  std::string path_;
  json json_;
};

// Settings under which transformers' GPT-2 is another function than ours. reorder_and_upcast_attn
// only changes the order of operations.
void refuse_other_functions(const ConfigReader& reader, std::int64_t width) {
  const std::string type = reader.word("model_type", "");
  if (type != "gpt2") reader.fail(fmt::format("model_type is '{}'; only 'gpt2' can be read", type));
  const std::string activation = reader.word("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    reader.fail(fmt::format("activation_function is '{}'; Ovid computes 'gelu_new' (the tanh form)",
                            activation));
  }
  if (reader.has("n_inner") && reader.size("n_inner", 4 * kMaxWidth) != 4 * width) {
    reader.fail(fmt::format("n_inner = {} is not 4 x n_embd = {}",
                            reader.size("n_inner", 4 * kMaxWidth), 4 * width));
  }
  if (!reader.flag("scale_attn_weights", true)) {
    reader.fail("scale_attn_weights is false; Ovid always scales by 1 / sqrt(head size)");
  }
  for (const char* key : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (reader.flag(key, false))
      reader.fail(fmt::format("{} is true, which Ovid does not compute", key));
  }
  if (reader.has("quantization_config")) {
    reader.fail("the weights are quantised (quantization_config); only float weights can be read");
  }
}

// The double that prints like the float: 1e-05 rather than 9.999999747378752e-06.
double shortest_double(float value) {
  const std::string text = fmt::format("{}", value);
  double result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

}  // namespace

model::ModelConfig read_model_config(const Path& directory) {
  const ConfigReader reader(directory / "config.json");
  model::ModelConfig config;
  config.width = reader.size("n_embd", kMaxWidth);
  refuse_other_functions(reader, config.width);
  config.layers = reader.size("n_layer", kMaxLayers);
  config.heads = reader.size("n_head", kMaxWidth);
  if (config.width % config.heads != 0) {
    reader.fail(
        fmt::format("n_embd = {} is not a multiple of n_head = {}", config.width, config.heads));
  }
  config.context_length =
      reader.size(reader.has("n_positions") ? "n_positions" : "n_ctx", kMaxContext);
  config.vocabulary_size = reader.size("vocab_size", kMaxVocabulary);
  config.tied_head = reader.flag("tie_word_embeddings", true);
  config.layernorm_epsilon = reader.number("layer_norm_epsilon", 1e-5f, 1e-30, 1.0);
  config.embedding_dropout = reader.number("embd_pdrop", 0.1f, 0.0, 1.0);
  config.attention_dropout = reader.number("attn_pdrop", 0.1f, 0.0, 1.0);
  config.residual_dropout = reader.number("resid_pdrop", 0.1f, 0.0, 1.0);
  return config;
}

std::optional<std::int64_t> read_end_of_text(const Path& directory) {
  const Path path = directory / "config.json";
  try {
    json id = json::parse(read_json_file(path)).value("eos_token_id", json());
    if (id.is_array() && !id.empty()) id = id.front();
    const bool is_token = id.is_number_integer() && id >= 0 && id < kMaxVocabulary;
    return is_token ? std::optional(id.get<std::int64_t>()) : std::nullopt;
  } catch (const json::exception& error) {
    throw CheckpointError(fmt::format("{} is no JSON object: {}", path.string(), error.what()));
  }
}

std::string model_config_json(const model::ModelConfig& config,
                              std::optional<std::int64_t> end_of_text, kernels::DType dtype) {
  constexpr std::int64_t kGpt2EndOfText = 50'256;
  if (!end_of_text && config.vocabulary_size > kGpt2EndOfText) end_of_text = kGpt2EndOfText;
  const nlohmann::ordered_json end_id =
      end_of_text ? nlohmann::ordered_json(*end_of_text) : nlohmann::ordered_json();
  const nlohmann::ordered_json document = {
      {"architectures", {"GPT2LMHeadModel"}},
      {"model_type", "gpt2"},
      {"activation_function", "gelu_new"},
      {"n_layer", config.layers},
      {"n_head", config.heads},
      {"n_embd", config.width},
      {"n_inner", nullptr},
      {"n_positions", config.context_length},
      {"n_ctx", config.context_length},
      {"vocab_size", config.vocabulary_size},
      {"tie_word_embeddings", config.tied_head},
      {"layer_norm_epsilon", shortest_double(config.layernorm_epsilon)},
      {"embd_pdrop", shortest_double(config.embedding_dropout)},
      {"attn_pdrop", shortest_double(config.attention_dropout)},
      {"resid_pdrop", shortest_double(config.residual_dropout)},
      {"initializer_range", 0.02},
      {"scale_attn_weights", true},
      {"scale_attn_by_inverse_layer_idx", false},
      {"reorder_and_upcast_attn", false},
      {"bos_token_id", end_id},
      {"eos_token_id", end_id},
      {"torch_dtype", kernels::name_of(dtype)},
      {"use_cache", true},
  };
  return document.dump(2) + "\n";
}

void write_model_config(const Path& directory, const model::ModelConfig& config,
                        std::optional<std::int64_t> end_of_text) {
  replace_file(directory / "config.json", model_config_json(config, end_of_text));
}

}  // namespace ovid::checkpoint
