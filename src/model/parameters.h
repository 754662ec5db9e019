#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"
#include "src/memory/arena.h"
#include "src/model/model_config.h"

namespace ovid::model {

using kernels::ConstView;
using kernels::DType;
using kernels::Shape;
using kernels::View;

// How GPT-2 fills a tensor before training (Radford et al. 2019, section 2.3 and the released
// code).
enum class Initialisation {
  kZero,
  kOne,
  kNormal,          // mean 0, standard deviation 0.02
  kResidualNormal,  // the same scaled by 1 / sqrt(2 L): projections that end in the residual stream
  kUniform,         // in [-1, 1] / sqrt(columns): A of an adapter, as PEFT's (Kaiming, a = sqrt 5)
};

// What is known of one tensor without any memory. Names and shapes are Hugging Face's.
struct TensorDescription {
  std::string name;
  Shape shape;
  Initialisation initialisation;
  std::int64_t reserved_rows =
      0;                    // zero rows behind the tensor, so that products over it can be padded
  bool trained = true;      // not one of ModelConfig::frozen
  bool is_adapter = false;  // of LowRankConfig: no tensor of GPT-2's own

  bool decays() const { return shape.rank() >= 2; }  // weight decay acts on matrices only
};

template <class V>
struct NormParameters {
  V gain;  // (C)
  V bias;  // (C)
};

// An adapter of a linear. Files have B as (out, rank), as PEFT does.
template <class V>
struct LowRankParameters {
  V a;  // (rank, in)
  V b;  // (rank, out)
};

template <class V>
struct LinearParameters {
  V weight;  // (in, out)
  V bias;    // (out)
  std::optional<LowRankParameters<V>> low_rank = std::nullopt;
};

template <class V>
struct BlockParameters {
  NormParameters<V> norm1;
  LinearParameters<V> qkv;         // (C, 3C)
  LinearParameters<V> projection;  // (C, C)
  NormParameters<V> norm2;
  LinearParameters<V> expand;    // (C, 4C)
  LinearParameters<V> contract;  // (4C, C)
};

// One struct for weights, gradients and both moments.
template <class V>
struct ModelParameters {
  V token_embedding;     // (V, C)
  V position_embedding;  // (P, C)
  std::vector<BlockParameters<V>> blocks;
  NormParameters<V> final_norm;
  V head;  // (V, C); the token embedding where the head is tied
};

// The one list of a model's tensors, in the order of their names in the network: calls
// make(TensorDescription) once for each and puts what it returns in its place.
template <class Make>
auto build_parameters(const ModelConfig& config, Make&& make) {
  using V = decltype(make(std::declval<const TensorDescription&>()));
  const std::int64_t C = config.width;
  const std::int64_t padded_vocabulary = (config.vocabulary_size + 127) / 128 * 128;
  const auto add = [&](TensorDescription tensor) {
    tensor.trained = !std::binary_search(config.frozen.begin(), config.frozen.end(), tensor.name);
    return make(tensor);
  };
  const auto norm = [&](const std::string& name) {
    V gain = add({name + ".weight", Shape{C}, Initialisation::kOne});
    V bias = add({name + ".bias", Shape{C}, Initialisation::kZero});
    return NormParameters<V>{gain, bias};
  };
  const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out,
                          Initialisation init, bool adapted) {
    V weight = add({name + ".weight", Shape{in, out}, init});
    V bias = add({name + ".bias", Shape{out}, Initialisation::kZero});
    LinearParameters<V> parameters{weight, bias};
    if (!adapted || config.low_rank.rank == 0) return parameters;
    const std::int64_t r = config.low_rank.rank;
    const auto adapter = [&](const char* factor, std::int64_t columns, Initialisation drawn) {
      return add({.name = name + factor,
                  .shape = Shape{r, columns},
                  .initialisation = drawn,
                  .is_adapter = true});
    };
    V a = adapter(".lora_A.weight", in, Initialisation::kUniform);
    V b = adapter(".lora_B.weight", out, Initialisation::kZero);
    parameters.low_rank.emplace(LowRankParameters<V>{a, b});
    return parameters;
  };
  const auto embedding = [&](const std::string& name, std::int64_t rows,
                             std::int64_t reserved_rows) {
    return add({name, Shape{rows, C}, Initialisation::kNormal, reserved_rows});
  };

  const LowRankConfig& adapted = config.low_rank;
  const std::int64_t reserved = padded_vocabulary - config.vocabulary_size;
  V token_embedding = embedding("transformer.wte.weight", config.vocabulary_size, reserved);
  V position_embedding = embedding("transformer.wpe.weight", config.context_length, 0);
  std::vector<BlockParameters<V>> blocks;
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const std::string block = "transformer.h." + std::to_string(i);
    // Braces evaluate left to right, so the order of the list is the order of the network.
    blocks.push_back(BlockParameters<V>{
        norm(block + ".ln_1"),
        linear(block + ".attn.c_attn", C, 3 * C, Initialisation::kNormal, adapted.qkv),
        linear(block + ".attn.c_proj", C, C, Initialisation::kResidualNormal, adapted.projection),
        norm(block + ".ln_2"),
        linear(block + ".mlp.c_fc", C, 4 * C, Initialisation::kNormal, adapted.expand),
        linear(block + ".mlp.c_proj", 4 * C, C, Initialisation::kResidualNormal,
               adapted.contract)});
  }
  NormParameters<V> final_norm = norm("transformer.ln_f");
  V head = config.tied_head ? token_embedding
                            : embedding("lm_head.weight", config.vocabulary_size, reserved);
  return ModelParameters<V>{token_embedding, position_embedding, std::move(blocks), final_norm,
                            head};
}

std::vector<TensorDescription> describe_tensors(const ModelConfig& config);
std::int64_t parameter_count(const ModelConfig& config);
std::int64_t trained_parameter_count(const ModelConfig& config);  // without the frozen ones

// The number type of a set of parameters, and where it lies.
struct ParameterStorage {
  DType dtype = DType::kFloat32;
  // Of the head's weight (the token embedding where tied); absent: as all others. Gradients need
  // it: the head adds to its own in many chunks of rows.
  std::optional<DType> head_dtype = std::nullopt;
  kernels::cuda::Device* device = nullptr;  // null: host memory
  bool only_measures = false;               // the views have null addresses
  // Of ranks that share the set: each group of tensors is a row of lay_out_shards(config, shards),
  // padded so that every rank's part is as long, and all tensors have `dtype`; frozen tensors are
  // in no row, but behind all of them. 0: one rank's set.
  int shards = 0;
  // Of gradients: frozen tensors take no memory, and their views have no element.
  bool trained_only = false;
};

// The view of a gradient for an op: absent where the tensor is frozen.
inline std::optional<View> if_trained(const View& gradient) {
  return gradient.elements() > 0 ? std::optional<View>(gradient) : std::nullopt;
}

// One value for each parameter of a model, in one arena: the weights, the gradients, or one of the
// moments.
class ParameterSet {
 public:
  struct Tensor {
    TensorDescription description;
    View view;
  };

  // Zeros. `purpose` names the arena in reports and errors.
  ParameterSet(const ModelConfig& config, const std::string& purpose,
               const ParameterStorage& storage = {});
  // Only measured, float32.
  ParameterSet(const ModelConfig& config, const std::string& purpose, bool only_measures)
      : ParameterSet(config, purpose, ParameterStorage{.only_measures = only_measures}) {}

  const ModelParameters<View>& views() const { return views_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  // All of them, and zeros between, as one row; for sets of one number type.
  View flat();
  // The same for any set: one row for each run of tensors of one number type.
  std::vector<View> runs() const;
  // Row `group` of the layout that the set was made by; for sets of several shards.
  View group(std::size_t index) const { return groups_.at(index); }
  // From a set of the same config, number type and device. Enqueued on the device.
  void copy_from(ParameterSet& other);
  const memory::Arena& arena() const { return arena_; }
  kernels::cuda::Device* device() const { return arena_.device(); }
  DType dtype() const { return dtype_; }  // of all but the head's weight

 private:
  DType dtype_;
  memory::Arena arena_;
  std::vector<View> groups_;  // of a set of several shards
  std::vector<Tensor> tensors_;
  ModelParameters<View> views_;
};

// Throws UsageError where the shape is none of a GPT-2: names the value, the limit and the cure.
void check_model_config(const ModelConfig& config);

// Fills `weights` (float32, on any device) by GPT-2's initialisation. A pure function of (seed,
// tensor name, index), worked out on the host, so that all devices begin with the same bits.
void initialise(ParameterSet& weights, const ModelConfig& config, std::uint64_t seed);

// Fills `to`, of any number type on any device, from `from`, float32 in host memory: rounded to
// nearest. Waits for the device.
void upload_parameters(const ParameterSet& from, ParameterSet& to, int threads);

// Fills `to` from `from`, both of one config and on the device of `ctx`, rounded to nearest.
// Enqueued.
void round_parameters(kernels::ExecutionContext& ctx, const ParameterSet& from, ParameterSet& to);

}  // namespace ovid::model
