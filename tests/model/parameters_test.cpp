#include "src/model/parameters.h"

#include <cmath>
#include <cstring>
#include <set>

#include "src/core/error.h"
#include "src/model/initialisation.h"
#include "tests/catch.h"

namespace ovid::model {
namespace {

const ModelConfig kTiny{
    .layers = 2, .heads = 2, .width = 8, .context_length = 6, .vocabulary_size = 130};

// Published counts of the released models (Radford et al. 2019 round them; these are exact).
struct Published {
  ModelConfig config;
  std::int64_t parameters;
};
const Published kPublished[] = {
    {{.layers = 12, .heads = 12, .width = 768, .context_length = 1024, .vocabulary_size = 50257},
     124'439'808},
    {{.layers = 24, .heads = 16, .width = 1024, .context_length = 1024, .vocabulary_size = 50257},
     354'823'168},
    {{.layers = 36, .heads = 20, .width = 1280, .context_length = 1024, .vocabulary_size = 50257},
     774'030'080},
    {{.layers = 48, .heads = 25, .width = 1600, .context_length = 1024, .vocabulary_size = 50257},
     1'557'611'200},
    {{.layers = 6, .heads = 12, .width = 768, .context_length = 1024, .vocabulary_size = 50257},
     81'912'576},
};

}  // namespace

TEST_CASE("the published sizes have their published numbers of parameters", "[model]") {
  for (const Published& p : kPublished) CHECK(parameter_count(p.config) == p.parameters);
}

TEST_CASE("tensors have Hugging Face's names, once each; an untied head has its own", "[model]") {
  std::set<std::string> names;
  for (const TensorDescription& t : describe_tensors(kTiny)) CHECK(names.insert(t.name).second);
  CHECK(names.size() == 2 + 2 * 12 + 2);
  CHECK(names.count("transformer.h.1.mlp.c_proj.bias") == 1);
  CHECK(names.count("lm_head.weight") == 0);
  ModelConfig untied = kTiny;
  untied.tied_head = false;
  CHECK(describe_tensors(untied).back().name == "lm_head.weight");
  ParameterSet weights(untied, "weights");
  CHECK(weights.views().head.raw() != weights.views().token_embedding.raw());
}

TEST_CASE("weight decay acts on matrices only", "[model]") {
  for (const TensorDescription& t : describe_tensors(kTiny)) {
    const bool matrix =
        t.name.find(".weight") != std::string::npos && t.name.find("ln_") == std::string::npos;
    INFO(t.name);
    CHECK(t.decays() == matrix);
  }
}

TEST_CASE("rows behind the vocabulary are reserved and stay zero", "[model]") {
  ParameterSet weights(kTiny, "weights");
  initialise(weights, kTiny, 1);
  const View& wte = weights.views().token_embedding;
  for (std::int64_t i = wte.elements(); i < 256 * kTiny.width; ++i)
    CHECK(wte.data<float>()[i] == 0.0f);
  CHECK(wte.data<float>()[wte.elements() - 1] != 0.0f);
}

TEST_CASE("initial weights have GPT-2's deviations and depend on seed and name alone", "[model]") {
  const ModelConfig config{
      .layers = 8, .heads = 2, .width = 64, .context_length = 32, .vocabulary_size = 300};
  ParameterSet weights(config, "weights"), again(config, "weights"), other(config, "weights");
  initialise(weights, config, 5);
  initialise(again, config, 5);
  initialise(other, config, 6);
  CHECK(std::memcmp(weights.flat().raw(), again.flat().raw(), weights.arena().used_bytes()) == 0);
  CHECK(std::memcmp(weights.flat().raw(), other.flat().raw(), weights.arena().used_bytes()) != 0);
  const auto deviation = [](const View& view) {
    double sum = 0;
    for (std::int64_t i = 0; i < view.elements(); ++i) sum += std::pow(view.data<float>()[i], 2);
    return std::sqrt(sum / static_cast<double>(view.elements()));
  };
  const auto& views = weights.views();
  // The sample deviation of n values scatters by 1 / sqrt(2 n): 4 of those for the smallest, n =
  // 4,096.
  CHECK(deviation(views.token_embedding) == Approx(0.02).epsilon(0.045));
  CHECK(deviation(views.blocks[3].qkv.weight) == Approx(0.02).epsilon(0.045));
  CHECK(deviation(views.blocks[3].projection.weight) == Approx(0.02 / 4).epsilon(0.045));
  CHECK(deviation(views.blocks[3].contract.weight) == Approx(0.02 / 4).epsilon(0.045));
  CHECK(views.blocks[0].norm1.gain.data<float>()[5] == 1.0f);
  CHECK(views.blocks[0].qkv.bias.data<float>()[5] == 0.0f);
  CHECK(views.blocks[0].qkv.weight.data<float>()[0] != views.blocks[1].qkv.weight.data<float>()[0]);
}

TEST_CASE("a part of a tensor begins with the bits that the whole one has there", "[model]") {
  ModelConfig config = kTiny;
  config.low_rank = {.rank = 3, .qkv = true};
  for (const TensorDescription& tensor : describe_tensors(config)) {
    INFO(tensor.name);
    std::vector<float> whole(static_cast<std::size_t>(tensor.shape.elements()));
    initialise_range(tensor, config, 3, 0, whole);
    const std::size_t count = whole.size();
    // Random numbers come in pairs: parts that begin and end within one.
    for (const auto& [begin, end] : {std::pair{count / 2, count},
                                     {count / 3, count / 3 + 3},
                                     {std::size_t{1}, std::size_t{2}},
                                     {count - 1, count}}) {
      std::vector<float> part(end - begin);
      initialise_range(tensor, config, 3, static_cast<std::int64_t>(begin), part);
      CHECK(std::memcmp(part.data(), whole.data() + begin, part.size() * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("shapes that are none of a GPT-2 are refused with the nearest that are", "[model]") {
  CHECK_NOTHROW(check_model_config(kTiny));
  ModelConfig config = kTiny;
  config.heads = 3;
  CHECK_THROWS_WITH(check_model_config(config), Catch::Contains("try width 6 or 9"));
  config = kTiny;
  config.vocabulary_size = 65'537;
  CHECK_THROWS_WITH(check_model_config(config), Catch::Contains("vocabulary_size = 65537"));
  config = kTiny;
  config.layers = 0;
  CHECK_THROWS_AS(check_model_config(config), UsageError);
}

}  // namespace ovid::model
