#include "benchmarks/op_cases.h"

#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/convert/convert.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embedding/embedding.h"
#include "kernels/gelu/gelu.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/moving_average/moving_average.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

namespace ovid::benchmarks {

using namespace ovid::kernels;
using memory::Arena;

namespace {

constexpr DropoutMask kDropout = {.probability = 0.1f, .stream = {.seed = 1}};

View floats(Arena& arena, Shape shape) {
  return arena.take("operand", DType::kFloat32, shape);
}
View integers(Arena& arena, Shape shape) {
  return arena.take("tokens", DType::kInt32, shape);
}

using Cases = std::vector<OpCase>;

void add_layernorm(Cases& cases, const StepShape& s) {
  const Shape rows{s.B * s.T, s.C}, columns{s.C}, per_row{s.B * s.T};
  cases.push_back({"layernorm_forward", [=](Arena& arena) -> ReadyOp {
                     const LayerNorm op = {.in = floats(arena, rows),
                                           .gain = floats(arena, columns),
                                           .bias = floats(arena, columns),
                                           .out = floats(arena, rows),
                                           .mean = floats(arena, per_row),
                                           .inv_std = floats(arena, per_row)};
                     return {[=](ExecutionContext& ctx) { layernorm_forward(ctx, op); }};
                   }});
  cases.push_back({"layernorm_backward", [=](Arena& arena) -> ReadyOp {
                     const LayerNormGradient op = {.d_out = floats(arena, rows),
                                                   .in = floats(arena, rows),
                                                   .gain = floats(arena, columns),
                                                   .mean = floats(arena, per_row),
                                                   .inv_std = floats(arena, per_row),
                                                   .d_in = floats(arena, rows),
                                                   .d_gain = floats(arena, columns),
                                                   .d_bias = floats(arena, columns)};
                     return {[=](ExecutionContext& ctx) { layernorm_backward(ctx, op); }};
                   }});
}

void add_residual_layernorm(Cases& cases, const StepShape& s, bool dropout) {
  const Shape rows{s.B * s.T, s.C}, columns{s.C}, per_row{s.B * s.T};
  const std::string suffix = dropout ? ":dropout" : "";
  const auto mask = dropout ? std::optional<DropoutMask>(kDropout) : std::nullopt;
  cases.push_back({"residual_layernorm_forward" + suffix, [=](Arena& arena) -> ReadyOp {
                     const ResidualLayerNorm op = {.x = floats(arena, rows),
                                                   .branch = floats(arena, rows),
                                                   .gain = floats(arena, columns),
                                                   .bias = floats(arena, columns),
                                                   .sum = floats(arena, rows),
                                                   .normed = floats(arena, rows),
                                                   .mean = floats(arena, per_row),
                                                   .inv_std = floats(arena, per_row),
                                                   .branch_dropout = mask};
                     return {[=](ExecutionContext& ctx) { residual_layernorm_forward(ctx, op); }};
                   }});
  cases.push_back({"residual_layernorm_backward" + suffix, [=](Arena& arena) -> ReadyOp {
                     // Without dropout the two results are one tensor, as in the model.
                     const View d_sum = floats(arena, rows);
                     const ResidualLayerNormGradient op = {
                         .d_normed = floats(arena, rows),
                         .sum = floats(arena, rows),
                         .gain = floats(arena, columns),
                         .mean = floats(arena, per_row),
                         .inv_std = floats(arena, per_row),
                         .d_sum = d_sum,
                         .d_branch = dropout ? floats(arena, rows) : d_sum,
                         .d_gain = floats(arena, columns),
                         .d_bias = floats(arena, columns),
                         .branch_dropout = mask};
                     return {[=](ExecutionContext& ctx) { residual_layernorm_backward(ctx, op); }};
                   }});
}

struct LayerSize {
  const char* name;
  std::int64_t rows, in, out;
  WeightLayout layout = WeightLayout::kInOut;
  bool has_bias = true;
};

void add_linear(Cases& cases, const LayerSize& l) {
  const std::string suffix = std::string(":") + l.name;
  const Shape in{l.rows, l.in}, out{l.rows, l.out}, bias{l.out};
  const Shape weight = l.layout == WeightLayout::kInOut ? Shape{l.in, l.out} : Shape{l.out, l.in};
  // The head's rows are padded as in the model.
  const std::int64_t stride = l.has_bias ? l.out : (l.out + 127) / 128 * 128;
  const WeightLayout layout = l.layout;
  const bool has_bias = l.has_bias;
  cases.push_back({"linear_forward" + suffix, [=](Arena& arena) -> ReadyOp {
                     Linear op = {.in = floats(arena, in),
                                  .weight = floats(arena, weight),
                                  .out = arena.take_padded("out", DType::kFloat32, out, stride),
                                  .layout = layout};
                     if (has_bias) op.bias = floats(arena, bias);
                     return {[=](ExecutionContext& ctx) { linear_forward(ctx, op); }};
                   }});
  cases.push_back({"linear_backward" + suffix, [=](Arena& arena) -> ReadyOp {
                     LinearGradient op = {
                         .d_out = arena.take_padded("d_out", DType::kFloat32, out, stride),
                         .in = floats(arena, in),
                         .weight = floats(arena, weight),
                         .d_in = floats(arena, in),
                         .d_weight = floats(arena, weight),
                         .layout = layout};
                     if (has_bias) op.d_bias = floats(arena, bias);
                     return {[=](ExecutionContext& ctx) { linear_backward(ctx, op); }};
                   }});
}

void add_linear_gelu(Cases& cases, const StepShape& s) {
  const Shape in{s.B * s.T, s.C}, out{s.B * s.T, 4 * s.C}, weight{s.C, 4 * s.C}, bias{4 * s.C};
  cases.push_back({"linear_gelu_forward:expand", [=](Arena& arena) -> ReadyOp {
                     const LinearGelu op = {.in = floats(arena, in),
                                            .weight = floats(arena, weight),
                                            .bias = floats(arena, bias),
                                            .before = floats(arena, out),
                                            .out = floats(arena, out)};
                     return {[=](ExecutionContext& ctx) { linear_gelu_forward(ctx, op); }};
                   }});
  cases.push_back(
      {"linear_gelu_backward:expand", [=](Arena& arena) -> ReadyOp {
         // d_before takes the place of d_out, as in the model: each call multiplies it by
         // gelu'(before), which must be 1, or after some calls all numbers are denormal.
         constexpr float kSlopeIsOne = 10.0f;
         const View d_out = floats(arena, out), before = floats(arena, out);
         const LinearGeluGradient op = {.d_out = d_out,
                                        .in = floats(arena, in),
                                        .weight = floats(arena, weight),
                                        .before = before,
                                        .d_before = d_out,
                                        .d_in = floats(arena, in),
                                        .d_weight = floats(arena, weight),
                                        .d_bias = floats(arena, bias)};
         return {.call = [=](ExecutionContext& ctx) { linear_gelu_backward(ctx, op); },
                 .constants = {{before, kSlopeIsOne}}};
       }});
}

void add_attention(Cases& cases, const StepShape& s) {
  const Shape qkv{s.B, s.T, 3 * s.C}, out{s.B, s.T, s.C}, per_query{s.B, s.H, s.T};
  const std::int64_t heads = s.H;
  cases.push_back({"attention_forward", [=](Arena& arena) -> ReadyOp {
                     const Attention op = {.qkv = floats(arena, qkv),
                                           .out = floats(arena, out),
                                           .log_sum_exp = floats(arena, per_query),
                                           .heads = heads};
                     return {[=](ExecutionContext& ctx) { attention_forward(ctx, op); }};
                   }});
  cases.push_back({"attention_backward", [=](Arena& arena) -> ReadyOp {
                     const AttentionGradient op = {.d_out = floats(arena, out),
                                                   .qkv = floats(arena, qkv),
                                                   .out = floats(arena, out),
                                                   .log_sum_exp = floats(arena, per_query),
                                                   .d_qkv = floats(arena, qkv),
                                                   .heads = heads};
                     return {[=](ExecutionContext& ctx) { attention_backward(ctx, op); }};
                   }});
}

void add_elementwise(Cases& cases, const StepShape& s) {
  const Shape hidden{s.B * s.T, 4 * s.C}, rows{s.B * s.T, s.C};
  cases.push_back({"gelu_forward", [=](Arena& arena) -> ReadyOp {
                     const Gelu op = {.in = floats(arena, hidden), .out = floats(arena, hidden)};
                     return {[=](ExecutionContext& ctx) { gelu_forward(ctx, op); }};
                   }});
  cases.push_back({"gelu_backward", [=](Arena& arena) -> ReadyOp {
                     const GeluGradient op = {.d_out = floats(arena, hidden),
                                              .in = floats(arena, hidden),
                                              .d_in = floats(arena, hidden)};
                     return {[=](ExecutionContext& ctx) { gelu_backward(ctx, op); }};
                   }});
  cases.push_back({"dropout_forward", [=](Arena& arena) -> ReadyOp {
                     const Dropout op = {
                         .in = floats(arena, rows), .out = floats(arena, rows), .mask = kDropout};
                     return {[=](ExecutionContext& ctx) { dropout_forward(ctx, op); }};
                   }});
  cases.push_back({"dropout_backward", [=](Arena& arena) -> ReadyOp {
                     const DropoutGradient op = {.d_out = floats(arena, rows),
                                                 .d_in = floats(arena, rows),
                                                 .mask = kDropout};
                     return {[=](ExecutionContext& ctx) { dropout_backward(ctx, op); }};
                   }});
}

void add_embedding_and_loss(Cases& cases, const StepShape& s) {
  const Shape batch{s.B, s.T}, out{s.B, s.T, s.C}, token{s.V, s.C}, position{s.T, s.C};
  cases.push_back({"embedding_forward", [=](Arena& arena) -> ReadyOp {
                     const Embedding op = {.tokens = integers(arena, batch),
                                           .token_embedding = floats(arena, token),
                                           .position_embedding = floats(arena, position),
                                           .out = floats(arena, out)};
                     return {[=](ExecutionContext& ctx) { embedding_forward(ctx, op); },
                             {View(const_cast<void*>(op.tokens.raw()), DType::kInt32, batch)}};
                   }});
  cases.push_back({"embedding_backward", [=](Arena& arena) -> ReadyOp {
                     const View tokens = integers(arena, batch);
                     const EmbeddingGradient op = {.tokens = tokens,
                                                   .d_out = floats(arena, out),
                                                   .d_token_embedding = floats(arena, token),
                                                   .d_position_embedding = floats(arena, position)};
                     return {[=](ExecutionContext& ctx) { embedding_backward(ctx, op); }, {tokens}};
                   }});
  const Shape logits{s.logits_rows, s.V}, per_row{s.logits_rows};
  const std::int64_t stride = (s.V + 127) / 128 * 128;
  for (const bool gradient : {true, false}) {
    const std::string name = std::string("softmax_cross_entropy") + (gradient ? "" : ":loss_only");
    cases.push_back(
        {name, [=](Arena& arena) -> ReadyOp {
           const View targets = integers(arena, per_row);
           const SoftmaxCrossEntropy op = {
               .logits = arena.take_padded("logits", DType::kFloat32, logits, stride),
               .targets = targets,
               .losses = floats(arena, per_row),
               .scale = 0.01f,
               .write_gradient = gradient};
           return {[=](ExecutionContext& ctx) { softmax_cross_entropy(ctx, op); }, {targets}};
         }});
  }
}

void add_optimizer(Cases& cases, const StepShape& s) {
  const Shape all{s.parameters};
  for (const DType moments : {DType::kFloat32, DType::kBfloat16}) {
    const bool rounded = moments == DType::kBfloat16;
    cases.push_back({rounded ? "adamw_update with bfloat16 moments" : "adamw_update",
                     [=](Arena& arena) -> ReadyOp {
                       const AdamWTensor tensor = {
                           .weight = floats(arena, all),
                           .gradient = floats(arena, all),
                           .first_moment = arena.take("first moment", moments, all),
                           .second_moment = arena.take("second moment", moments, all),
                           .weight_decay = 0.1};
                       return {[=](ExecutionContext& ctx) {
                         adamw_update(ctx, {.tensors = {&tensor, 1},
                                            .learning_rate = 1e-4,
                                            .beta1 = 0.9,
                                            .beta2 = 0.95,
                                            .epsilon = 1e-8,
                                            .step = 10,
                                            .moment_rounding = kernels::RandomStream{.seed = 1}});
                       }};
                     }});
  }
  cases.push_back({"moving_average_update", [=](Arena& arena) -> ReadyOp {
                     const MovingAverage op = {.value = floats(arena, all),
                                               .average = floats(arena, all),
                                               .decay = 0.999f};
                     return {[=](ExecutionContext& ctx) { moving_average_update(ctx, op); }};
                   }});
  cases.push_back({"gradient_norm", [=](Arena& arena) -> ReadyOp {
                     const GradientNorm op = {
                         .gradient = floats(arena, all),
                         .sum_of_squares = arena.take("sum", DType::kFloat64, Shape{})};
                     return {[=](ExecutionContext& ctx) { gradient_norm(ctx, op); }};
                   }});
  cases.push_back({"set_zero", [=](Arena& arena) -> ReadyOp {
                     const SetZero op = {.out = floats(arena, all)};
                     return {[=](ExecutionContext& ctx) { set_zero(ctx, op); }};
                   }});
  cases.push_back({"convert:bfloat16", [=](Arena& arena) -> ReadyOp {
                     const Convert op = {.in = floats(arena, all),
                                         .out = arena.take("out", DType::kBfloat16, all)};
                     return {[=](ExecutionContext& ctx) { convert(ctx, op); }};
                   }});
}

}  // namespace

std::vector<OpCase> op_cases(const StepShape& s) {
  Cases cases;
  const std::int64_t N = s.B * s.T;
  add_embedding_and_loss(cases, s);
  add_layernorm(cases, s);
  for (const bool dropout : {false, true}) add_residual_layernorm(cases, s, dropout);
  add_linear(cases, {.name = "qkv", .rows = N, .in = s.C, .out = 3 * s.C});
  add_linear(cases, {.name = "projection", .rows = N, .in = s.C, .out = s.C});
  add_linear(cases, {.name = "contract", .rows = N, .in = 4 * s.C, .out = s.C});
  add_linear(cases, {.name = "head",
                     .rows = s.logits_rows,
                     .in = s.C,
                     .out = s.V,
                     .layout = WeightLayout::kOutIn,
                     .has_bias = false});
  add_linear_gelu(cases, s);
  add_attention(cases, s);
  add_elementwise(cases, s);
  add_optimizer(cases, s);
  return cases;
}

}  // namespace ovid::benchmarks
