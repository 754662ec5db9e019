#include "src/optimizer/adamw_optimizer.h"

#include <cmath>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/convert/convert.h"
#include "kernels/gradient_norm/gradient_norm.h"
#include "src/memory/transfer.h"

namespace ovid::optimizer {
namespace {

using model::DType;
using model::ParameterSet;
using model::Shape;
using model::View;

View flat(const View& view) {
  return view.reshaped(Shape{view.elements()});
}

std::vector<kernels::AdamWTensor> tensors_of(const AdamWUpdate& op, const ParameterSet& first,
                                             const ParameterSet& second, double weight_decay) {
  std::vector<kernels::AdamWTensor> tensors;
  std::uint64_t index = 0;
  for (std::size_t i = 0; i < op.weights.tensors().size(); ++i) {
    const ParameterSet::Tensor& weight = op.weights.tensors()[i];
    tensors.push_back({.weight = flat(weight.view),
                       .gradient = flat(op.gradients.tensors()[i].view),
                       .first_moment = flat(first.tensors()[i].view),
                       .second_moment = flat(second.tensors()[i].view),
                       .weight_decay = weight.description.decays() ? weight_decay : 0.0,
                       .first_index = index});
    if (op.rounded != nullptr) {
      tensors.back().rounded.emplace(flat(op.rounded->tensors()[i].view));
    }
    // A quad of elements shares one draw.
    index += static_cast<std::uint64_t>((weight.view.elements() + 3) / 4 * 4);
  }
  return tensors;
}

std::optional<kernels::RandomStream> rounding_of(const AdamWUpdate& op, std::int64_t step) {
  if (op.rounded == nullptr || op.rounded->dtype() != DType::kBfloat16) return std::nullopt;
  return kernels::RandomStream{.seed = op.seed,
                               .use = kernels::RandomUse::kRounding,
                               .major = static_cast<std::uint64_t>(step)};
}

}  // namespace

AdamWOptimizer::AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings,
                               kernels::cuda::Device* device)
    : settings_(settings),
      first_moment_(config, "first moments of AdamW", {.device = device}),
      second_moment_(config, "second moments of AdamW", {.device = device}),
      arena_("norm of the gradients", memory::measure([](memory::Arena& arena) { lay_out(arena); }),
             device),
      results_(lay_out(arena_)),
      host_sum_(sizeof(double), "norm of the gradients", device) {}

AdamWOptimizer::Results AdamWOptimizer::lay_out(memory::Arena& arena) {
  return {.sum_of_squares = arena.take("sum of squares", DType::kFloat64, {}),
          .clip_scale = arena.take("factor of clipping", DType::kFloat32, {})};
}

void AdamWOptimizer::enqueue_norm(kernels::ExecutionContext& ctx, const ParameterSet& gradients,
                                  const Results& results, double clip, float unscale) {
  const std::vector<View> runs = gradients.runs();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    kernels::GradientNorm op{
        .gradient = runs[i],
        .sum_of_squares = results.sum_of_squares,
        .mode = i == 0 ? kernels::GradientMode::kOverwrite : kernels::GradientMode::kAccumulate,
        .clip = clip,
        .unscale = unscale};
    if (i + 1 == runs.size()) op.clip_scale.emplace(results.clip_scale);
    kernels::gradient_norm(ctx, op);
  }
}

void AdamWOptimizer::measure_gradients(kernels::ExecutionContext& ctx,
                                       const ParameterSet& gradients, float unscale) {
  unscale_ = static_cast<double>(unscale);
  enqueue_norm(ctx, gradients, results_, settings_.gradient_clip, unscale);
  memory::copy_to_host(arena_.device(), {host_sum_.bytes().data(), DType::kFloat64, {}},
                       results_.sum_of_squares);
}

double AdamWOptimizer::gradient_norm() const {
  const auto* sum = reinterpret_cast<const double*>(host_sum_.bytes().data());
  return unscale_ * std::sqrt(*sum);
}

void AdamWOptimizer::update(kernels::ExecutionContext& ctx, const AdamWUpdate& op) {
  const auto tensors = tensors_of(op, first_moment_, second_moment_, settings_.weight_decay);
  kernels::adamw_update(ctx, {.tensors = tensors,
                              .gradient_scale_on_device = results_.clip_scale,
                              .learning_rate = op.learning_rate,
                              .beta1 = settings_.beta1,
                              .beta2 = settings_.beta2,
                              .epsilon = settings_.epsilon,
                              .step = op.step,
                              .rounding = rounding_of(op, op.step)});
}

void AdamWOptimizer::round_weights(kernels::ExecutionContext& ctx, const AdamWUpdate& op) {
  if (op.rounded == nullptr) return;
  for (const View& run : op.gradients.runs()) set_zero(ctx, {.out = run});
  // An update by nothing: the kernel that rounds is the one that rounded then.
  const auto tensors = tensors_of(op, first_moment_, second_moment_, 0.0);
  kernels::adamw_update(ctx, {.tensors = tensors,
                              .learning_rate = 0.0,
                              .beta1 = 0.0,
                              .beta2 = 0.0,
                              .epsilon = 1.0,
                              .step = 1,
                              .rounding = rounding_of(op, op.step)});
}

std::size_t AdamWOptimizer::measure_scratch(const model::ModelConfig& config,
                                            const memory::ComputeTarget& target,
                                            model::ParameterStorage gradients) {
  kernels::ScratchArena scratch;
  kernels::ExecutionContext ctx =
      kernels::ExecutionContext::dry_run(target.kind, target.threads, scratch);
  gradients.device = nullptr;
  gradients.only_measures = true;
  const ParameterSet measured(config, "measure", gradients);
  memory::Arena arena("measure");
  enqueue_norm(ctx, measured, lay_out(arena), 1.0, 1.0f);
  return scratch.high_water();
}

}  // namespace ovid::optimizer
