#include "src/checkpoint/hugging_face_model.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/checkpoint/tiny_checkpoint.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

using kernels::DType;

const Metadata kFormat = {{"format", "pt"}};

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

// The tiny model with its names changed and tensors added or left out.
std::vector<NamedTensor> renamed(const TinyCheckpoint& tiny,
                                 const std::function<std::string(std::string)>& rename) {
  std::vector<NamedTensor> tensors;
  for (const NamedTensor& tensor : tiny.content().parameters) {
    const std::string name = rename(tensor.name);
    if (!name.empty()) tensors.push_back({name, tensor.view});
  }
  return tensors;
}

std::string without_transformer(std::string name) {
  return name.substr(std::string("transformer.").size());
}
std::string same(std::string name) {
  return name;
}

}  // namespace

TEST_CASE("a written config reads back as the same model", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  model::ModelConfig config = tiny_config(false);
  config.layernorm_epsilon = 1e-6f;
  config.attention_dropout = 0.1f;
  config.residual_dropout = 0.2f;
  write_model_config(folder.path(), config);
  CHECK(read_model_config(folder.path()) == config);
  const std::string text = read_file(folder / "config.json");
  CHECK(text.find("1e-06") != std::string::npos);
  CHECK(text.find("\"eos_token_id\": null") != std::string::npos);
  CHECK(model_config_json(config, 6).find("\"eos_token_id\": 6") != std::string::npos);
  config.vocabulary_size = 50'257;
  CHECK(model_config_json(config).find("\"eos_token_id\": 50256") != std::string::npos);
}

TEST_CASE("configs that mean another model are refused with the setting's name", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const std::string base =
      R"("model_type":"gpt2","n_layer":1,"n_head":2,"n_embd":4,"n_positions":5,"vocab_size":7)";
  const auto error = [&](const std::string& text) {
    replace_file(folder / "config.json", text);
    return error_of([&] { read_model_config(folder.path()); });
  };
  CHECK(error("{" + base + "}").empty());
  CHECK(error("{" + base + R"(,"reorder_and_upcast_attn":true,"n_inner":16})").empty());
  CHECK(error("{" + base + R"(,"activation_function":"gelu_pytorch_tanh"})").empty());
  const std::pair<const char*, const char*> refused[] = {
      {R"("activation_function":"relu")", "relu"},
      {R"("n_inner":17)", "n_inner"},
      {R"("scale_attn_weights":false)", "scale_attn_weights"},
      {R"("scale_attn_by_inverse_layer_idx":true)", "scale_attn_by_inverse_layer_idx"},
      {R"("add_cross_attention":true)", "add_cross_attention"},
      {R"("quantization_config":{"bits":4})", "quantization_config"},
      {R"("model_type":"llama")", "llama"},
      {R"("n_head":3)", "not a multiple"},
      {R"("n_layer":0)", "n_layer"},
      {R"("n_layer":-1)", "n_layer"},
      {R"("n_layer":1e999)", "JSON"},
      {R"("n_layer":"1")", "n_layer"},
      {R"("n_embd":9223372036854775807)", "n_embd"},
      {R"("n_embd":18446744073709551615)", "n_embd"},
      {R"("vocab_size":65537)", "65536"},
      {R"("attn_pdrop":1.0)", "attn_pdrop"},
      {R"("layer_norm_epsilon":-1e-5)", "layer_norm_epsilon"},
      {R"("tie_word_embeddings":1)", "tie_word_embeddings"},
  };
  for (const auto& [setting, reason] : refused) {
    INFO(setting);
    CHECK(error("{" + base + "," + setting + "}").find(reason) != std::string::npos);
  }
  CHECK(error("[]").find("object") != std::string::npos);
  CHECK(error("{\"n_layer\":1}").find("missing") != std::string::npos);
  CHECK(error(std::string(100'000, '[')).find("deep") != std::string::npos);
  CHECK(error_of([&] { read_model_config(folder / "absent"); }).find("absent") !=
        std::string::npos);
}

TEST_CASE("parameters load with and without the prefix, masks dropped, a tied head checked",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const TinyCheckpoint tiny(3, 0);
  const std::vector<float> mask(25, 1.0f);
  const Path file = folder / "model.safetensors";
  const auto load = [&](std::vector<NamedTensor> tensors) {
    std::filesystem::remove(file);
    write_safetensors(file, tensors, kFormat);
    Buffers buffers(gpt2_tensors(tiny_config()));
    const std::string error =
        error_of([&] { read_parameters(folder.path(), buffers.destinations); });
    const bool untouched = buffers.values.at("transformer.wte.weight")[0] == -1.0f;
    if (!error.empty() && !untouched) return "half loaded: " + error;
    if (error.empty() && buffers.values != tiny.parameters()) return std::string("other values");
    return error;
  };
  CHECK(load(renamed(tiny, same)).empty());
  CHECK(load(renamed(tiny, without_transformer)).empty());

  std::vector<NamedTensor> tensors = renamed(tiny, without_transformer);
  tensors.push_back({"h.0.attn.bias", {mask.data(), DType::kFloat32, {1, 1, 5, 5}}});
  tensors.push_back({"h.0.attn.masked_bias", {mask.data(), DType::kFloat32, {}}});
  const std::vector<float>& embedding = tiny.parameters().at("transformer.wte.weight");
  tensors.push_back({"lm_head.weight", {embedding.data(), DType::kFloat32, {7, 4}}});
  CHECK(load(tensors).empty());

  std::vector<float> other = embedding;
  other.back() += 1;
  tensors.back() = {"lm_head.weight", {other.data(), DType::kFloat32, {7, 4}}};
  CHECK(load(tensors).find("differs from 'transformer.wte.weight'") != std::string::npos);

  tensors = renamed(tiny, same);
  tensors.push_back({"wte.weight", {embedding.data(), DType::kFloat32, {7, 4}}});
  CHECK(load(tensors).find("with and without the prefix") != std::string::npos);
}

TEST_CASE("missing, unknown, misshapen and unreadable tensors are listed together",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const TinyCheckpoint tiny(3, 0);
  std::vector<NamedTensor> tensors = renamed(tiny, [](const std::string& name) {
    return name == "transformer.ln_f.bias" ? "transformer.ln_g.bias" : name;
  });
  for (NamedTensor& tensor : tensors) {
    if (tensor.name == "transformer.wpe.weight") tensor.view = tensor.view.reshaped({4, 5});
  }
  const std::vector<std::int32_t> numbers(4);
  for (NamedTensor& tensor : tensors) {
    if (tensor.name == "transformer.ln_f.weight")
      tensor.view = {numbers.data(), DType::kInt32, {4}};
  }
  write_safetensors(folder / "model.safetensors", tensors, kFormat);
  Buffers buffers(gpt2_tensors(tiny_config()));
  const std::string error = error_of([&] { read_parameters(folder.path(), buffers.destinations); });
  INFO(error);
  for (const char* part :
       {"4 tensors", "'transformer.ln_f.bias' (4) is missing", "'ln_g.bias' (4) is no parameter",
        "'transformer.wpe.weight' is (4, 5), wanted is (5, 4)", "dtype I32"}) {
    CHECK(error.find(part) != std::string::npos);
  }
  CHECK(error_of([&] { check_parameters(folder.path(), tiny_config()); }) == error);
  // An untied head is required.
  CHECK(error_of([&] {
          check_parameters(folder.path(), tiny_config(false));
        }).find("'lm_head.weight' (7, 4)") != std::string::npos);
}

TEST_CASE("a model in several files loads by its index, which must agree with them",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const TinyCheckpoint tiny(3, 0);
  std::vector<NamedTensor> first, second;
  std::string first_map, second_map;
  for (const NamedTensor& tensor : tiny.content().parameters) {
    const bool goes_first = first.size() <= second.size();
    (goes_first ? first : second).push_back(tensor);
    (goes_first ? first_map : second_map) += fmt::format(
        R"("{}":"model-0000{}-of-00002.safetensors",)", tensor.name, goes_first ? 1 : 2);
  }
  write_safetensors(folder / "model-00001-of-00002.safetensors", first, kFormat);
  write_safetensors(folder / "model-00002-of-00002.safetensors", second, kFormat);
  const auto load = [&](std::string map) {
    if (!map.empty()) map.pop_back();
    replace_file(folder / "model.safetensors.index.json",
                 "{\"metadata\":{},\"weight_map\":{" + map + "}}");
    Buffers buffers(gpt2_tensors(tiny_config()));
    const std::string error =
        error_of([&] { read_parameters(folder.path(), buffers.destinations); });
    return error.empty() && buffers.values != tiny.parameters() ? "other values" : error;
  };
  CHECK(load(first_map + second_map).empty());
  CHECK(load(first_map).find("is missing") != std::string::npos);
  CHECK(load(first_map + second_map + R"("x":"model-00001-of-00002.safetensors",)")
            .find("does not hold it") != std::string::npos);
  CHECK(load(first_map.substr(first_map.find(',') + 1) + second_map).find("does not say") !=
        std::string::npos);
  CHECK(load(first_map + R"("x":"../model.safetensors",)").find("only names of files beside it") !=
        std::string::npos);
  replace_file(folder / "model.safetensors.index.json", "{}");
  Buffers buffers(gpt2_tensors(tiny_config()));
  CHECK(error_of([&] {
          read_parameters(folder.path(), buffers.destinations);
        }).find("weight_map") != std::string::npos);
}

TEST_CASE("models of other programs verify and load", "[checkpoint]") {
  for (const char* name : {"tiny-gpt2-random", "gpt-nano-sort", "mingpt-adder-nano"}) {
    const auto directory = test::shared_data(std::string("models/") + name);
    if (!directory) return;
    INFO(name);
    CHECK(verify(*directory).empty());
    const model::ModelConfig config = read_model_config(*directory);
    CHECK(config.tied_head == (std::string(name) == "tiny-gpt2-random"));
    Buffers buffers(gpt2_tensors(config));
    read_parameters(*directory, buffers.destinations);
    for (const auto& [tensor, values] : buffers.values) {
      INFO(tensor);
      for (const float value : values) REQUIRE(std::isfinite(value));
    }
    CHECK(buffers.values.at("transformer.ln_f.weight")[0] > 0.0f);
    CHECK(inspect_text(*directory).find("c_attn.weight") != std::string::npos);
  }
}

}  // namespace ovid::checkpoint
