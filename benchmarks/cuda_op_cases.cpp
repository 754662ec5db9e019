#include "benchmarks/cuda_op_cases.h"

#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/common/random.h"
#include "kernels/convert/convert.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gelu/gelu.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "src/memory/transfer.h"

namespace ovid::benchmarks {
namespace {

using kernels::GradientMode;

constexpr std::int64_t kLength = 1024, kWidth = 768, kHeads = 12, kVocabulary = 50257;
constexpr std::int64_t kPaddedVocabulary = 50304;

// Ids below the vocabulary, else numbers in [-1, 1).
void fill(std::byte* at, DType type, std::size_t index) {
  const std::uint32_t word = kernels::philox4x32(1, 0, index)[0];
  const float value = 2.0f * kernels::uniform_float(word) - 1.0f;
  const auto id = static_cast<std::int32_t>(word % kVocabulary);
  const auto wide = std::bit_cast<std::uint32_t>(value);
  const auto narrow = static_cast<std::uint16_t>(wide >> 16);
  if (type == DType::kInt32) std::memcpy(at, &id, sizeof id);
  if (type == DType::kFloat32) std::memcpy(at, &wide, sizeof wide);
  if (type == DType::kBfloat16) std::memcpy(at, &narrow, sizeof narrow);
}

}  // namespace

View Operands::make(DType type, Shape shape, std::int64_t row_stride) {
  const std::int64_t stride = row_stride > 0 ? row_stride : shape.last();
  const auto elements = static_cast<std::size_t>(shape.rows() * stride);
  const std::size_t bytes = elements * bytes_of(type);
  buffers_.emplace_back(bytes, "an operand", target_.device);
  std::vector<std::byte> values(bytes);
  for (std::size_t i = 0; i < elements; ++i) fill(values.data() + i * bytes_of(type), type, i);
  void* memory = buffers_.back().bytes().data();
  const Shape flat{static_cast<std::int64_t>(bytes)};
  memory::copy_to_device(target_.device, View(memory, DType::kUint8, flat),
                         ConstView(values.data(), DType::kUint8, flat));
  memory::synchronize(target_.device);
  return {memory, type, shape, stride};
}
namespace {

Call residual_layernorm(Operands& o) {
  const View x = o.activations(kWidth), branch = o.activations(kWidth), sum = o.activations(kWidth);
  const View normed = o.activations(kWidth), gain = o.vector(kWidth), bias = o.vector(kWidth);
  const View mean = o.statistics(), inv_std = o.statistics();
  return [=](ExecutionContext& ctx) {
    residual_layernorm_forward(ctx, {.x = x,
                                     .branch = branch,
                                     .gain = gain,
                                     .bias = bias,
                                     .sum = sum,
                                     .normed = normed,
                                     .mean = mean,
                                     .inv_std = inv_std});
  };
}

Call residual_layernorm_gradient(Operands& o) {
  const View d_normed = o.activations(kWidth), sum = o.activations(kWidth);
  const View gain = o.vector(kWidth), mean = o.statistics(), inv_std = o.statistics();
  const View d_sum = o.activations(kWidth), d_gain = o.vector(kWidth), d_bias = o.vector(kWidth);
  return [=](ExecutionContext& ctx) {
    residual_layernorm_backward(ctx, {.d_normed = d_normed,
                                      .sum = sum,
                                      .gain = gain,
                                      .mean = mean,
                                      .inv_std = inv_std,
                                      .d_sum = d_sum,
                                      .d_branch = d_sum,
                                      .d_gain = d_gain,
                                      .d_bias = d_bias});
  };
}

Call attention(Operands& o) {
  const std::int64_t B = o.tokens / kLength;
  const View qkv = o.make(o.dtype, {B, kLength, 3 * kWidth});
  const View out = o.make(o.dtype, {B, kLength, kWidth});
  const View lse = o.make(DType::kFloat32, {B, kHeads, kLength});
  return [=](ExecutionContext& ctx) {
    attention_forward(ctx, {.qkv = qkv, .out = out, .log_sum_exp = lse, .heads = kHeads});
  };
}

Call attention_gradient(Operands& o) {
  const std::int64_t B = o.tokens / kLength;
  const View qkv = o.make(o.dtype, {B, kLength, 3 * kWidth});
  const View out = o.make(o.dtype, {B, kLength, kWidth});
  const View d_out = o.make(o.dtype, {B, kLength, kWidth});
  const View lse = o.make(DType::kFloat32, {B, kHeads, kLength});
  const View d_qkv = o.make(o.dtype, {B, kLength, 3 * kWidth});
  return [=](ExecutionContext& ctx) {
    attention_backward(ctx, {.d_out = d_out,
                             .qkv = qkv,
                             .out = out,
                             .log_sum_exp = lse,
                             .d_qkv = d_qkv,
                             .heads = kHeads});
  };
}

Call cross_entropy(Operands& o) {
  const View logits = o.make(o.dtype, {o.tokens, kVocabulary}, kPaddedVocabulary);
  const View targets = o.token_ids({o.tokens}), losses = o.statistics();
  return [=](ExecutionContext& ctx) {
    softmax_cross_entropy(ctx, {.logits = logits, .targets = targets, .losses = losses});
  };
}

Call embedding(Operands& o) {
  const std::int64_t B = o.tokens / kLength;
  const View tokens = o.token_ids({B, kLength}), rows = o.make(o.dtype, {kVocabulary, kWidth});
  const View positions = o.make(o.dtype, {kLength, kWidth});
  const View out = o.make(o.dtype, {B, kLength, kWidth});
  return [=](ExecutionContext& ctx) {
    embedding_forward(
        ctx,
        {.tokens = tokens, .token_embedding = rows, .position_embedding = positions, .out = out});
  };
}

Call embedding_gradient(Operands& o) {
  const std::int64_t B = o.tokens / kLength;
  const View tokens = o.token_ids({B, kLength}), rows = o.make(o.dtype, {kVocabulary, kWidth});
  const View positions = o.make(o.dtype, {kLength, kWidth});
  const View d_out = o.make(o.dtype, {B, kLength, kWidth});
  return [=](ExecutionContext& ctx) {
    embedding_backward(ctx, {.tokens = tokens,
                             .d_out = d_out,
                             .d_token_embedding = rows,
                             .d_position_embedding = positions});
  };
}

Call gelu(Operands& o) {
  const View in = o.activations(4 * kWidth), out = o.activations(4 * kWidth);
  return [=](ExecutionContext& ctx) { gelu_forward(ctx, {.in = in, .out = out}); };
}

Call gelu_gradient(Operands& o) {
  const View in = o.activations(4 * kWidth), d = o.activations(4 * kWidth);
  return [=](ExecutionContext& ctx) { gelu_backward(ctx, {.d_out = d, .in = in, .d_in = d}); };
}

// The linear layers of a block's MLP, forward and backward, as src/model/block.cpp calls them: what
// the products' epilogues leave to other kernels.
Call mlp(Operands& o) {
  const View in = o.activations(kWidth), before = o.activations(4 * kWidth);
  const View hidden = o.activations(4 * kWidth), out = o.activations(kWidth);
  const View expand = o.make(o.dtype, {kWidth, 4 * kWidth}), expand_bias = o.vector(4 * kWidth);
  const View contract = o.make(o.dtype, {4 * kWidth, kWidth}), contract_bias = o.vector(kWidth);
  const View d_expand = o.make(o.dtype, {kWidth, 4 * kWidth}), d_hidden = o.activations(4 * kWidth);
  const View d_contract = o.make(o.dtype, {4 * kWidth, kWidth}), d_in = o.activations(kWidth);
  const View d_expand_bias = o.vector(4 * kWidth), d_contract_bias = o.vector(kWidth);
  return [=](ExecutionContext& ctx) {
    linear_gelu_forward(
        ctx, {.in = in, .weight = expand, .bias = expand_bias, .before = before, .out = hidden});
    linear_forward(ctx, {.in = hidden, .weight = contract, .bias = contract_bias, .out = out});
    linear_backward(ctx, {.d_out = out,
                          .in = hidden,
                          .weight = contract,
                          .d_in = d_hidden,
                          .d_weight = d_contract,
                          .d_bias = d_contract_bias,
                          .d_weight_mode = GradientMode::kOverwrite,
                          .before = before});
    linear_backward(ctx, {.d_out = d_hidden,
                          .in = in,
                          .weight = expand,
                          .d_in = d_in,
                          .d_weight = d_expand,
                          .d_bias = d_expand_bias,
                          .d_weight_mode = GradientMode::kOverwrite});
  };
}

// "tokens" thousand parameters: tokens * 1024 of them.
Call adamw_with(Operands& o, DType moments) {
  const std::int64_t n = o.tokens * 1024;
  const View weight = o.make(DType::kFloat32, {n}), m = o.make(moments, {n});
  const View v = o.make(moments, {n}), gradient = o.make(o.dtype, {n});
  const View rounded = o.make(o.dtype, {n});
  return [=](ExecutionContext& ctx) {
    kernels::AdamWTensor tensor{.weight = weight,
                                .gradient = gradient,
                                .first_moment = m,
                                .second_moment = v,
                                .weight_decay = 0.1};
    if (rounded.dtype() != DType::kFloat32) tensor.rounded = rounded;
    adamw_update(ctx, {.tensors = std::span(&tensor, 1),
                       .learning_rate = 1e-3,
                       .beta1 = 0.9,
                       .beta2 = 0.95,
                       .epsilon = 1e-8,
                       .step = 1,
                       .rounding = kernels::RandomStream{.seed = 1},
                       .moment_rounding = kernels::RandomStream{.seed = 1, .minor = 1}});
  };
}
Call adamw(Operands& o) {
  return adamw_with(o, DType::kFloat32);
}
Call adamw_bfloat16_moments(Operands& o) {
  return adamw_with(o, DType::kBfloat16);
}

Call norm(Operands& o) {
  const View gradient = o.make(o.dtype, {o.tokens * 1024});
  const View sum = o.make(DType::kFloat64, {});
  return [=](ExecutionContext& ctx) {
    gradient_norm(ctx, {.gradient = gradient, .sum_of_squares = sum});
  };
}

// One product without GELU, forward and both gradients.
Call linear(Operands& o, std::int64_t K, std::int64_t M, kernels::WeightLayout layout) {
  const bool head = layout == kernels::WeightLayout::kOutIn;
  const std::int64_t stride = head ? (M + 127) / 128 * 128 : M;
  const Shape weight_shape = head ? Shape{M, K} : Shape{K, M};
  const View in = o.activations(K), out = o.make(o.dtype, {o.tokens, M}, stride);
  const View weight = o.make(o.dtype, weight_shape), d_weight = o.make(o.dtype, weight_shape);
  const View bias = o.vector(M), d_bias = o.vector(M), d_in = o.activations(K);
  return [=](ExecutionContext& ctx) {
    linear_forward(ctx, {.in = in,
                         .weight = weight,
                         .bias = head ? std::nullopt : std::optional<ConstView>(bias),
                         .out = out,
                         .layout = layout});
    linear_backward(ctx, {.d_out = out,
                          .in = in,
                          .weight = weight,
                          .d_in = d_in,
                          .d_weight = d_weight,
                          .d_bias = head ? std::nullopt : std::optional<View>(d_bias),
                          .layout = layout,
                          .d_weight_mode = GradientMode::kOverwrite});
  };
}

}  // namespace

const std::map<std::string, Prepare>& cuda_ops() {
  using enum kernels::WeightLayout;
  static const std::map<std::string, Prepare> all{
      {"residual_layernorm_forward", residual_layernorm},
      {"residual_layernorm_backward", residual_layernorm_gradient},
      {"attention_forward", attention},
      {"attention_backward", attention_gradient},
      {"softmax_cross_entropy", cross_entropy},
      {"embedding_forward", embedding},
      {"embedding_backward", embedding_gradient},
      {"gelu_forward", gelu},
      {"gelu_backward", gelu_gradient},
      {"mlp", mlp},
      {"linear_qkv", [](Operands& o) { return linear(o, kWidth, 3 * kWidth, kInOut); }},
      {"linear_projection", [](Operands& o) { return linear(o, kWidth, kWidth, kInOut); }},
      {"linear_contract", [](Operands& o) { return linear(o, 4 * kWidth, kWidth, kInOut); }},
      {"linear_head", [](Operands& o) { return linear(o, kWidth, kVocabulary, kOutIn); }},
      {"adamw_update", adamw},
      {"adamw_bfloat16_moments", adamw_bfloat16_moments},
      {"gradient_norm", norm}};
  return all;
}

}  // namespace ovid::benchmarks
