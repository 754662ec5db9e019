#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "src/memory/execution.h"
#include "src/model/backward_extent.h"
#include "src/model/model.h"
#include "src/model/operation_count.h"
#include "src/model/shard_layout.h"
#include "tests/catch.h"

// Tensors that are not trained: no memory, no arithmetic, and no difference to the others.
namespace ovid::model {
namespace {

constexpr BatchShape kBatch{.sequences = 2, .length = 8};

ModelConfig config_of(bool tied, std::vector<std::string> frozen = {}) {
  std::sort(frozen.begin(), frozen.end());
  return {.layers = 3,
          .heads = 2,
          .width = 16,
          .context_length = 8,
          .vocabulary_size = 29,
          .tied_head = tied,
          .embedding_dropout = 0.1f,
          .attention_dropout = 0.1f,
          .residual_dropout = 0.1f,
          .frozen = std::move(frozen)};
}

struct Gradients {
  ParameterSet set;
  std::vector<std::int64_t> ready;
};

// Of one batch, over memory that held something else.
Gradients gradients_of(const ModelConfig& config, Keep keep = Keep::kForBackward) {
  ParameterSet weights(config, "weights");
  initialise(weights, config, 3);
  const ParameterStorage storage{.trained_only = true};
  Gradients g{ParameterSet(config, "gradients", storage), {}};
  for (const View& run : g.set.runs()) std::fill_n(run.data<float>(), run.elements(), 7.0f);
  const auto lay_out = [&](memory::Arena& arena) {
    const Activations activations = lay_out_activations(arena, config, kBatch, keep);
    return std::pair(activations, lay_out_activation_gradients(arena, config, kBatch));
  };
  memory::Arena arena("activations",
                      memory::measure([&](memory::Arena& measured) { lay_out(measured); }));
  const auto [activations, d] = lay_out(arena);
  memory::Execution execution(nullptr, 1,
                              measure_scratch(config, kBatch, {.threads = 1}, keep, storage));
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < kBatch.rows(); ++i) tokens.push_back(i * i % 29);
  const ConstView view(tokens.data(), DType::kInt32, Shape{kBatch.sequences, kBatch.length});
  model_forward_backward(execution.context(),
                         {.pass = {.config = config,
                                   .weights = weights.views(),
                                   .tokens = view,
                                   .activations = activations,
                                   .dropout = DropoutKey{.seed = 1}},
                          .gradients = g.set.views(),
                          .d = d,
                          .on_gradient_ready = [&](std::int64_t i) { g.ready.push_back(i); },
                          .mode = kernels::GradientMode::kOverwrite},
                         view, 0.125f);
  return g;
}

bool same_bits(const View& a, const View& b) {
  return a.elements() == b.elements() &&
         std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(a.elements()) * sizeof(float)) == 0;
}

std::vector<std::string> names_of(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const TensorDescription& t : describe_tensors(config)) names.push_back(t.name);
  return names;
}

std::vector<std::string> all_but(const ModelConfig& config, const std::string& name) {
  std::vector<std::string> names = names_of(config);
  names.erase(std::find(names.begin(), names.end(), name));
  return names;
}

}  // namespace

TEST_CASE("a tensor that is trained alone has the gradient that it has among all", "[model]") {
  const bool tied = GENERATE(true, false);
  const Keep keep = GENERATE(Keep::kForBackward, Keep::kBlockInputs);
  const Gradients whole = gradients_of(config_of(tied), keep);
  for (std::size_t i = 0; i < whole.set.tensors().size(); ++i) {
    const std::string& name = whole.set.tensors()[i].description.name;
    CAPTURE(name);
    const Gradients one = gradients_of(config_of(tied, all_but(config_of(tied), name)), keep);
    CHECK(same_bits(one.set.tensors()[i].view, whole.set.tensors()[i].view));
    CHECK(one.ready == whole.ready);
    const std::size_t bytes = static_cast<std::size_t>(one.set.tensors()[i].view.elements() +
                                                       3 * 16) *  // reserved rows of an embedding
                              sizeof(float);
    CHECK(one.set.arena().used_bytes() <= std::max<std::size_t>(bytes, 128 * 16 * sizeof(float)));
  }
}

TEST_CASE("a tensor that is frozen alone changes no bit of the other gradients", "[model]") {
  const bool tied = GENERATE(true, false);
  const Gradients whole = gradients_of(config_of(tied));
  const std::vector<std::string> names = names_of(config_of(tied));
  for (std::size_t frozen = 0; frozen < names.size(); ++frozen) {
    CAPTURE(names[frozen]);
    const Gradients most = gradients_of(config_of(tied, {names[frozen]}));
    for (std::size_t i = 0; i < names.size(); ++i) {
      const View& view = most.set.tensors()[i].view;
      if (i == frozen) {
        CHECK(view.elements() == 0);
      } else {
        CHECK(same_bits(view, whole.set.tensors()[i].view));
      }
    }
  }
}

TEST_CASE("the backward pass ends at the lowest tensor that is trained", "[model]") {
  const auto extent = [](bool tied, const std::string& trained) {
    return backward_extent(config_of(tied, all_but(config_of(tied), trained)));
  };
  using E = BackwardExtent;
  CHECK(backward_extent(config_of(true)) == E{.block = -1, .equation = 0});
  CHECK(extent(true, "transformer.wpe.weight") == E{.block = -1, .equation = 0});
  CHECK(extent(true, "transformer.h.0.ln_1.bias") == E{.block = -1, .equation = 7});
  CHECK(extent(true, "transformer.h.1.ln_1.weight") == E{.block = 0, .equation = 7});
  CHECK(extent(true, "transformer.h.1.attn.c_attn.bias") == E{.block = 1, .equation = 1});
  CHECK(extent(true, "transformer.h.1.attn.c_proj.weight") == E{.block = 1, .equation = 3});
  CHECK(extent(true, "transformer.h.2.ln_2.weight") == E{.block = 2, .equation = 4});
  CHECK(extent(true, "transformer.h.2.mlp.c_fc.weight") == E{.block = 2, .equation = 5});
  CHECK(extent(true, "transformer.h.2.mlp.c_proj.bias") == E{.block = 2, .equation = 6});
  CHECK(extent(true, "transformer.ln_f.bias") == E{.block = 2, .equation = 7});
  CHECK(extent(false, "lm_head.weight") == E{.block = 3, .equation = 0});
}

TEST_CASE("operations of frozen tensors are not counted", "[model]") {
  const auto total = [](std::vector<std::string> frozen) {
    return training_operations(config_of(false, std::move(frozen)), kBatch);
  };
  const OperationCount forward = forward_operations(config_of(false), kBatch);
  const OperationCount all = total({});
  CHECK(all.linear == Approx(3 * forward.linear));
  CHECK(all.attention == Approx(3 * forward.attention));
  // A weight between trained ones costs one product of two.
  const double one = 2.0 * 2 * 8 * 16 * 64;  // rows x in x out
  CHECK(all.linear - total({"transformer.h.1.mlp.c_fc.weight"}).linear == Approx(one));
  // The head alone: its weight's gradient, and no more.
  const OperationCount head = total(all_but(config_of(false), "lm_head.weight"));
  CHECK(head.linear == Approx(forward.linear + 2.0 * 2 * 8 * 16 * 29));
  CHECK(head.attention == Approx(forward.attention));
}

TEST_CASE("ranks share no element of a frozen tensor, and keep all of its weights", "[model]") {
  const ModelConfig config = config_of(true, {"transformer.h.1.mlp.c_fc.weight",
                                              "transformer.wpe.weight", "transformer.wte.weight"});
  const ShardLayout layout = lay_out_shards(config, 2);
  CHECK(layout.groups.front().padded == 0);
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    for (int rank = 0; rank < 2; ++rank) {
      for (const ShardLayout::Piece& piece : layout.pieces(group, rank)) {
        CHECK(layout.tensors[piece.tensor].description.trained);
      }
    }
  }
  const ParameterSet weights(config, "weights", {.shards = 2});
  const ParameterSet gradients(config, "gradients", {.shards = 2, .trained_only = true});
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    const TensorDescription& t = layout.tensors[i].description;
    CHECK(weights.tensors()[i].view.elements() == t.shape.elements());
    CHECK(gradients.tensors()[i].view.elements() == (t.trained ? t.shape.elements() : 0));
  }
  CHECK(trained_parameter_count(config) == parameter_count(config) - 29 * 16 - 8 * 16 - 16 * 64);
}

}  // namespace ovid::model
