#include "src/optimizer/adamw_optimizer.h"

#include <algorithm>
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

// Elements [begin, end) of a contiguous view, as a row.
View part(const View& view, std::int64_t begin, std::int64_t end) {
  return flat(view)
      .reshaped(Shape{view.elements(), 1})
      .row_range(begin, end - begin)
      .reshaped(Shape{end - begin});
}

// Of element 0 of each tensor in the stream of rounding. A quad of elements shares one draw.
std::vector<std::uint64_t> first_indices(const model::ShardLayout& layout) {
  std::vector<std::uint64_t> first;
  std::uint64_t index = 0;
  for (const model::ShardLayout::Tensor& tensor : layout.tensors) {
    first.push_back(index);
    index += static_cast<std::uint64_t>((tensor.elements + 3) / 4 * 4);
  }
  return first;
}

// Of the 16-bit copy of the weights; nothing where there is none.
std::optional<DType> rounded_type(const AdamWUpdate& op) {
  if (!op.rounded_parts.empty()) return op.rounded_parts.front().dtype();
  return op.rounded != nullptr ? std::optional(op.rounded->dtype()) : std::nullopt;
}

std::optional<kernels::RandomStream> rounding_of(const AdamWUpdate& op) {
  if (rounded_type(op) != DType::kBfloat16) return std::nullopt;
  return kernels::RandomStream{.seed = op.seed,
                               .use = kernels::RandomUse::kRounding,
                               .major = static_cast<std::uint64_t>(op.step)};
}

// Another stream than that of the weights in the same step.
std::optional<kernels::RandomStream> moment_rounding_of(const AdamWUpdate& op, DType moments) {
  if (moments == DType::kFloat32) return std::nullopt;
  return kernels::RandomStream{.seed = op.seed,
                               .use = kernels::RandomUse::kRounding,
                               .major = static_cast<std::uint64_t>(op.step),
                               .minor = 1};
}

}  // namespace

AdamWOptimizer::AdamWOptimizer(const model::ModelConfig& config, AdamWSettings settings,
                               kernels::cuda::Device* device, const MomentSharding& sharding)
    : settings_(settings),
      sharding_(sharding),
      layout_(model::lay_out_shards(config, sharding.ranks)),
      moments_("moments of AdamW", memory::measure([&](memory::Arena& arena) {
                 take_moments(arena, layout_, settings.moments, sharding);
               }),
               device),
      pieces_(take_moments(moments_, layout_, settings.moments, sharding)),
      arena_("norm of the gradients", memory::measure([](memory::Arena& arena) { lay_out(arena); }),
             device),
      results_(lay_out(arena_)),
      host_sum_(sizeof(double), "norm of the gradients", device) {}

std::vector<MomentPiece> AdamWOptimizer::take_moments(memory::Arena& arena,
                                                      const model::ShardLayout& layout, DType dtype,
                                                      const MomentSharding& sharding) {
  std::vector<MomentPiece> pieces;
  const auto take = [&](std::size_t tensor, std::int64_t begin, std::int64_t end,
                        std::int64_t offset) {
    const model::ShardLayout::Tensor& t = layout.tensors[tensor];
    const bool whole = begin == 0 && end == t.elements;
    const Shape shape = whole ? t.description.shape : Shape{end - begin};
    const View first = arena.take(t.description.name, dtype, shape);
    const View second = arena.take(t.description.name, dtype, shape);
    pieces.push_back({.tensor = tensor,
                      .name = t.description.name,
                      .shape = t.description.shape,
                      .begin = begin,
                      .end = end,
                      .whole = whole,
                      .group = t.group,
                      .offset = offset,
                      .first = first,
                      .second = second});
  };
  if (!sharding.shards_moments) {
    for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
      const model::ShardLayout::Tensor& t = layout.tensors[i];
      if (t.description.trained) take(i, 0, t.elements, t.offset);
    }
    return pieces;
  }
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    for (const auto& piece : layout.pieces(group, sharding.rank)) {
      take(piece.tensor, piece.begin, piece.end, piece.offset);
    }
  }
  return pieces;
}

std::size_t AdamWOptimizer::measure_moments(const model::ModelConfig& config, DType moments,
                                            const MomentSharding& sharding) {
  const model::ShardLayout layout = model::lay_out_shards(config, sharding.ranks);
  return memory::measure(
      [&](memory::Arena& arena) { take_moments(arena, layout, moments, sharding); });
}

std::vector<MomentPiece> AdamWOptimizer::pieces_to_load() const {
  return pieces_;
}

std::vector<MomentPiece> AdamWOptimizer::pieces_to_store() const {
  if (sharding_.ranks == 1 || sharding_.shards_moments) return pieces_;
  std::vector<MomentPiece> own;
  for (std::size_t group = 0; group < layout_.groups.size(); ++group) {
    for (const auto& p : layout_.pieces(group, sharding_.rank)) {
      // Frozen tensors have none.
      MomentPiece piece = *std::find_if(pieces_.begin(), pieces_.end(), [&](const MomentPiece& of) {
        return of.tensor == p.tensor;
      });
      piece.begin = p.begin;
      piece.end = p.end;
      piece.whole = p.begin == 0 && p.end == layout_.tensors[p.tensor].elements;
      if (!piece.whole) {
        piece.first = part(piece.first, p.begin, p.end);
        piece.second = part(piece.second, p.begin, p.end);
      }
      own.push_back(piece);
    }
  }
  return own;
}

std::vector<kernels::AdamWTensor> AdamWOptimizer::tensors_of(const AdamWUpdate& op,
                                                             double weight_decay) const {
  const std::vector<std::uint64_t> first = first_indices(layout_);
  std::vector<kernels::AdamWTensor> tensors;
  for (const MomentPiece& piece : pieces_) {
    // Of a whole set, or where there is none of the parts.
    const auto of = [&](const ParameterSet* set, std::span<const View> parts) {
      if (set != nullptr) return part(set->tensors()[piece.tensor].view, piece.begin, piece.end);
      return part(parts[piece.group], piece.offset, piece.offset + piece.end - piece.begin);
    };
    const bool decays = layout_.tensors[piece.tensor].description.decays();
    tensors.push_back(
        {.weight = of(op.weights, op.weight_parts),
         .gradient = of(op.gradients, op.gradient_parts),
         .first_moment = flat(piece.first),
         .second_moment = flat(piece.second),
         .weight_decay = decays ? weight_decay : 0.0,
         .first_index = first[piece.tensor] + static_cast<std::uint64_t>(piece.begin)});
    if (rounded_type(op)) tensors.back().rounded.emplace(of(op.rounded, op.rounded_parts));
  }
  return tensors;
}

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

void AdamWOptimizer::adopt_sum_of_squares(kernels::ExecutionContext& ctx, double sum,
                                          float unscale) {
  unscale_ = static_cast<double>(unscale);
  *reinterpret_cast<double*>(host_sum_.bytes().data()) = sum;
  memory::copy_to_device(arena_.device(), results_.sum_of_squares,
                         {host_sum_.bytes().data(), DType::kFloat64, {}});
  kernels::GradientNorm op{.gradient = View(nullptr, DType::kFloat32, Shape{0}),
                           .sum_of_squares = results_.sum_of_squares,
                           .mode = kernels::GradientMode::kAccumulate,
                           .clip = settings_.gradient_clip,
                           .unscale = unscale};
  op.clip_scale.emplace(results_.clip_scale);
  kernels::gradient_norm(ctx, op);
}

double AdamWOptimizer::gradient_norm() const {
  const auto* sum = reinterpret_cast<const double*>(host_sum_.bytes().data());
  return unscale_ * std::sqrt(*sum);
}

void AdamWOptimizer::update(kernels::ExecutionContext& ctx, const AdamWUpdate& op) {
  const auto tensors = tensors_of(op, settings_.weight_decay);
  kernels::adamw_update(ctx, {.tensors = tensors,
                              .gradient_scale_on_device = results_.clip_scale,
                              .learning_rate = op.learning_rate,
                              .beta1 = settings_.beta1,
                              .beta2 = settings_.beta2,
                              .epsilon = settings_.epsilon,
                              .step = op.step,
                              .rounding = rounding_of(op),
                              .moment_rounding = moment_rounding_of(op, settings_.moments)});
}

void AdamWOptimizer::round_weights(kernels::ExecutionContext& ctx, const AdamWUpdate& op) {
  if (!rounded_type(op)) return;
  if (op.gradients != nullptr) {
    for (const View& run : op.gradients->runs()) set_zero(ctx, {.out = run});
  }
  for (const View& row : op.gradient_parts) set_zero(ctx, {.out = row});
  // An update by nothing: the kernel that rounds is the one that rounded then.
  const auto tensors = tensors_of(op, 0.0);
  kernels::adamw_update(ctx, {.tensors = tensors,
                              .learning_rate = 0.0,
                              .beta1 = 0.0,
                              .beta2 = 0.0,
                              .epsilon = 1.0,
                              .step = 1,
                              .rounding = rounding_of(op),
                              .moment_rounding = moment_rounding_of(op, settings_.moments)});
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
