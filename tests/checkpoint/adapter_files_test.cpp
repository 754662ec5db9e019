#include "src/checkpoint/adapter_files.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::checkpoint {
namespace {

using Catch::Matchers::Contains;
using kernels::DType;
using kernels::Shape;

const model::ModelConfig kBase{
    .layers = 2, .heads = 1, .width = 4, .context_length = 8, .vocabulary_size = 11};
const model::LowRankConfig kAdapters{.rank = 2, .alpha = 3, .qkv = true, .contract = true};

struct Tensor {
  std::string name;
  Shape shape;
  std::vector<float> values;
};

// As a model has them: B (rank, out).
std::vector<Tensor> tensors() {
  std::vector<Tensor> all;
  for (const char* block : {"transformer.h.0.", "transformer.h.1."}) {
    const std::string name = block;
    all.push_back({name + "attn.c_attn.lora_A.weight", {2, 4}, {}});
    all.push_back({name + "attn.c_attn.lora_B.weight", {2, 12}, {}});
    all.push_back({name + "mlp.c_proj.lora_A.weight", {2, 16}, {}});
    all.push_back({name + "mlp.c_proj.lora_B.weight", {2, 4}, {}});
  }
  float value = 0;
  for (Tensor& tensor : all) {
    for (std::int64_t i = 0; i < tensor.shape.elements(); ++i) tensor.values.push_back(value += 1);
  }
  return all;
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// An adapter in `folder`, without the tensor named `without`, and with `config` in place of its
// configuration where that is not empty.
void write_adapter(const std::filesystem::path& folder, const std::string& config = "",
                   const std::string& without = "", const model::LowRankConfig& said = kAdapters) {
  const std::vector<Tensor> all = tensors();
  std::vector<NamedTensor> named;
  for (const Tensor& t : all) {
    if (t.name != without)
      named.push_back({t.name, kernels::ConstView(t.values.data(), DType::kFloat32, t.shape)});
  }
  for (const auto& [name, text] : adapter_texts(said, named, "base")) write(folder / name, text);
  if (!config.empty()) write(folder / "adapter" / "adapter_config.json", config);
}

}  // namespace

TEST_CASE("adapters come back as they were, with B turned in the file as PEFT has it",
          "[checkpoint]") {
  const test::TemporaryDirectory folder;
  write_adapter(folder.path());
  const auto adapter = find_adapter(folder.path());
  REQUIRE(adapter);
  CHECK(read_adapter_config(*adapter, kBase) == kAdapters);
  std::vector<Tensor> read = tensors();
  const std::vector<Tensor> written = read;
  std::vector<NamedDestination> destinations;
  for (Tensor& t : read) {
    std::fill(t.values.begin(), t.values.end(), 0.0f);
    destinations.push_back({t.name, kernels::View(t.values.data(), DType::kFloat32, t.shape)});
  }
  read_adapter(*adapter, kBase, destinations);
  for (std::size_t i = 0; i < read.size(); ++i) CHECK(read[i].values == written[i].values);

  const SafetensorsFile file(*adapter / "adapter_model.safetensors");
  const StoredTensor& b = file.tensor("base_model.model.transformer.h.1.mlp.c_proj.lora_B.weight");
  CHECK(b.shape == std::vector<std::int64_t>{4, 2});
}

TEST_CASE("an adapter that does not fit the model is refused with what is wrong", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const auto problem = [&](const model::ModelConfig& base) -> std::string {
    try {
      read_adapter_config(folder / "adapter", base);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  };
  write_adapter(folder.path(), "", "transformer.h.1.attn.c_attn.lora_B.weight");
  CHECK_THAT(problem(kBase), Contains("'h.1.attn.c_attn.lora_B.weight' (12, 2) is missing"));
  write_adapter(folder.path());
  CHECK(problem(kBase).empty());
  model::ModelConfig other = kBase;
  other.layers = 1;
  CHECK_THAT(problem(other), Contains("belongs to no linear of this model's 1 blocks"));
  other = kBase;
  other.width = 8;
  CHECK_THAT(problem(other), Contains("wanted is (2, 8)"));
  std::filesystem::remove(folder / "adapter/adapter_model.safetensors");
  CHECK_THAT(problem(kBase), Contains("safe_serialization"));
}

TEST_CASE("what PEFT computes in another way than Ovid is refused by name", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  const auto problem = [&](const std::string& config) -> std::string {
    write_adapter(folder.path(), config);
    try {
      read_adapter_config(folder / "adapter", kBase);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  };
  const std::string good = R"("r": 2, "lora_alpha": 3)";
  CHECK(problem("{\"peft_type\": \"LORA\", " + good + "}").empty());
  CHECK_THAT(problem("{\"peft_type\": \"IA3\", " + good + "}"), Contains("only LORA"));
  for (const char* setting :
       {R"("use_dora": true)", R"("lora_bias": true)", R"("modules_to_save": ["lm_head"])",
        R"("rank_pattern": {"c_attn": 4})", R"("bias": "all")", R"("layer_replication": [[0, 1]])",
        R"("init_lora_weights": "pissa")", R"("kasa_config": {"a": 1})"}) {
    CAPTURE(setting);
    CHECK_THAT(problem("{\"peft_type\": \"LORA\", " + good + ", " + setting + "}"),
               Contains("merge_and_unload"));
  }
  CHECK_THAT(problem(R"({"peft_type": "LORA", "r": 0, "lora_alpha": 3})"), Contains("r is 0"));
  CHECK_THAT(problem(R"({"peft_type": "LORA", "r": 2.5, "lora_alpha": 3})"), Contains("2.5"));
  CHECK_THAT(problem(R"({"peft_type": "LORA", "r": 2})"), Contains("lora_alpha"));
  CHECK_THAT(problem("[]"), Contains("no adapter_config.json"));
  CHECK_THAT(problem("{"), Contains("no adapter_config.json"));
}

TEST_CASE("rank-stabilised adapters count for alpha over the root of the rank", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  write_adapter(folder.path(),
                R"({"peft_type": "LORA", "r": 2, "lora_alpha": 3, "use_rslora": true})");
  CHECK(read_adapter_config(folder / "adapter", kBase).scale() == Approx(3 / std::sqrt(2.0)));
}

TEST_CASE("a folder of adapters alone is the model that it names", "[checkpoint]") {
  const test::TemporaryDirectory folder;
  write_adapter(folder.path());
  CHECK_THROWS_WITH(base_model_directory(folder / "adapter"), Contains("no such folder"));
  write(folder / "adapter/base/config.json", "{}");
  CHECK(base_model_directory(folder / "adapter") == folder / "adapter" / "base");
  CHECK(base_model_directory(folder.path()) == folder.path());
}

}  // namespace ovid::checkpoint
