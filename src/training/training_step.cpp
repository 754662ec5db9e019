#include "src/training/training_step.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/convert/convert.h"
#include "kernels/moving_average/moving_average.h"
#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/data/batch_share.h"
#include "src/memory/timeline_range.h"
#include "src/memory/transfer.h"
#include "src/model/model.h"
#include "src/model/pass_order.h"
#include "src/training/granule_norm.h"
#include "src/training/low_rank_plan.h"
#include "src/training/step_settings.h"

namespace ovid::training {
namespace {

std::size_t activation_bytes(const RunPlan& plan) {
  return memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, plan.micro_batch, plan.keep(),
                               plan.target().dtype);
    model::lay_out_activation_gradients(arena, plan.model, plan.micro_batch, plan.target().dtype);
  });
}

std::optional<model::ParameterSet> set_where(bool wanted, const RunPlan& plan, const char* purpose,
                                             kernels::DType dtype) {
  if (!wanted) return std::nullopt;
  return std::optional<model::ParameterSet>(
      std::in_place, plan.model, purpose,
      model::ParameterStorage{
          .dtype = dtype, .device = plan.target().device, .shards = plan.shards()});
}

model::ParameterStorage on_device_of(const RunPlan& plan, model::ParameterStorage storage) {
  storage.device = plan.target().device;
  return storage;
}

std::optional<model::ParameterSet> whole_gradients(const RunPlan& plan) {
  if (plan.shards_gradients()) return std::nullopt;
  return std::optional<model::ParameterSet>(std::in_place, plan.model, "gradients",
                                            on_device_of(plan, plan.gradient_storage()));
}

std::size_t scratch_bytes(const RunPlan& plan) {
  const model::ParameterStorage gradients = plan.gradient_storage();
  return std::max(
      model::measure_scratch(plan.model, plan.micro_batch, plan.target(), plan.keep(), gradients),
      optimizer::AdamWOptimizer::measure_scratch(plan.model, plan.target(), gradients));
}

}  // namespace

TrainingStep::TrainingStep(const RunPlan& plan, distributed::Communicator* communicator)
    : plan_(plan),
      communicator_(communicator != nullptr ? *communicator : alone_),
      execution_(plan.target().device, plan.target().threads, scratch_bytes(plan)),
      weights_(set_where(!plan.shards_weights(), plan, "weights", kernels::DType::kFloat32)),
      rounded_(set_where(plan.rounds_weights() && !plan.shards_weights(), plan,
                         "weights for products", plan.target().dtype)),
      gradients_(whole_gradients(plan)),
      optimizer_(plan.model, optimizer_settings(plan), plan.target().device, moment_sharding(plan)),
      average_(set_where(plan.averages_weights(), plan, "average of the weights",
                         kernels::DType::kFloat32)),
      rounded_average_(set_where(plan.averages_weights() && plan.rounds_weights(), plan,
                                 "average for products", plan.target().dtype)),
      arena_("activations", activation_bytes(plan), plan.target().device),
      activations_(model::lay_out_activations(arena_, plan.model, plan.micro_batch, plan.keep(),
                                              plan.target().dtype)),
      activation_gradients_(model::lay_out_activation_gradients(
          arena_, plan.model, plan.micro_batch, plan.target().dtype)),
      feed_(plan.target().device, plan.positions_of_step()),
      schedule_(schedule_of(plan.config())) {
  context().set_allow_tf32(plan.target().tfloat32);
  if (plan.model.low_rank.rank > 0) merged_.emplace(plan.model, *weights_, compute_weights());
  if (plan.shards_weights()) {
    sharded_weights_.emplace(communicator_, plan.model, optimizer_.layout(), plan.target().dtype,
                             plan.target().device);
  }
  using Result = GradientExchange::Result;
  const Result result = plan.shards_moments() ? Result::kOwnPart : Result::kEverywhere;
  if (plan.canonical()) {
    canonical_.emplace(communicator_, plan.model, optimizer_.layout(), *gradients_, result,
                       plan.config().batch.sequences);
  } else if (plan.shards_gradients()) {
    sharded_gradients_.emplace(communicator_, plan.model, optimizer_.layout(),
                               on_device_of(plan, plan.gradient_storage()));
  } else if (communicator_.count() > 1) {
    exchange_.emplace(communicator_, optimizer_.layout(), *gradients_, result);
  }
}

void TrainingStep::enqueue_pass(const data::TokenBatch& batch, std::int64_t first,
                                std::int64_t first_sequence,
                                const model::ModelParameters<model::View>& gradients,
                                kernels::GradientMode mode, float scale) {
  kernels::ExecutionContext& ctx = context();
  const model::BatchShape shape = plan_.micro_batch;
  const memory::TimelineRange range(ctx.device(), "forward and backward");
  const WeightsOfPass weights = weights_of_pass();
  const model::ModelPass pass{
      .config = plan_.model,
      .weights = weights.views,
      .tokens = feed_.tokens(first, shape),
      .activations = activations_,
      .dropout = model::DropoutKey{.seed = plan_.config().run.seed,
                                   .pass = static_cast<std::uint64_t>(first_sequence + first)},
      .losses = feed_.losses(first, shape),
      .on_weights_needed = weights.on_needed};
  model::ModelBackward backward{
      .pass = pass, .gradients = gradients, .d = activation_gradients_, .mode = mode};
  if (exchange_ && first + shape.sequences >= batch.count) {
    backward.on_gradient_ready = [this](std::int64_t block) { exchange_->note_ready(block); };
  }
  if (sharded_gradients_) {
    backward.on_gradient_needed = [&](std::size_t group) {
      sharded_gradients_->note_needed(ctx, group);
    };
    backward.on_gradient_ready = [&](std::int64_t block) { sharded_gradients_->note_ready(block); };
  }
  model::model_forward_backward(ctx, backward, feed_.targets(first, shape), scale);
}

void TrainingStep::enqueue_gradients(const data::TokenBatch& batch, const GlobalBatch& whole,
                                     float scale) {
  const data::BatchShare share =
      data::share_of_batch(whole.sequences, communicator_.rank(), communicator_.count());
  const std::int64_t first_sequence = whole.first_sequence + share.first;
  const int threads = context().threads();
  feed_.begin(batch);
  if (canonical_) canonical_->begin(whole.sequences);
  if (sharded_gradients_) sharded_gradients_->begin_step();
  if (batch.count == 0 && gradients_) {
    for (const model::View& run : gradients_->runs()) set_zero(context(), {.out = run});
    if (exchange_) exchange_->note_all_ready();
  }
  const Stopwatch stopwatch;
  for (std::int64_t first = 0; first < batch.count; first += plan_.micro_batch.sequences) {
    using kernels::GradientMode;
    if (canonical_) {
      enqueue_pass(batch, first, first_sequence, canonical_->next(share.first + first).views(),
                   GradientMode::kOverwrite, scale);
      canonical_->add(threads);
      continue;
    }
    if (sharded_gradients_) {
      enqueue_pass(batch, first, first_sequence, sharded_gradients_->views(),
                   sharded_gradients_->begin_pass(), scale);
      continue;
    }
    enqueue_pass(batch, first, first_sequence, gradients_->views(),
                 first == 0 ? GradientMode::kOverwrite : GradientMode::kAccumulate, scale);
  }
  own_seconds_ = context().device() == nullptr ? stopwatch.seconds() : 0.0;
  feed_.end();
  if (sharded_gradients_ || sharded_weights_) join_passes(batch.count, whole.sequences);
  if (canonical_) canonical_->finish(threads);
  if (exchange_) exchange_->finish();
  if (sharded_gradients_) sharded_gradients_->finish();
}

void TrainingStep::join_passes(std::int64_t own, std::int64_t sequences) {
  const std::int64_t unit = plan_.micro_batch.sequences;
  const std::int64_t ranks = communicator_.count();
  const auto passes = [&](std::int64_t count) { return (count + unit - 1) / unit; };
  model::WeightsNeeded on_weights_needed;
  if (sharded_weights_) on_weights_needed = weights_of_pass().on_needed;
  for (std::int64_t i = passes(own); i < passes((sequences + ranks - 1) / ranks); ++i) {
    if (sharded_gradients_) {
      sharded_gradients_->pass_without_sequences(context(), plan_.model, on_weights_needed);
    } else {
      model::tell_of_forward_backward(plan_.model, {.on_weights_needed = on_weights_needed});
    }
  }
}

// Of the whole batch: each sequence's own, added in the order of the batch where ranks share it.
double TrainingStep::sum_of_losses(const data::TokenBatch& batch, const GlobalBatch& whole) {
  if (!sums_over_sequences()) return feed_.loss_sum();
  const int ranks = communicator_.count();
  const auto most = static_cast<std::size_t>((whole.sequences + ranks - 1) / ranks);
  std::vector<double> own(most), all(most * static_cast<std::size_t>(ranks));
  for (std::int64_t i = 0; i < batch.count; ++i) {
    own[static_cast<std::size_t>(i)] = feed_.loss_sum_of_sequence(i, plan_.micro_batch.length);
  }
  communicator_.exchange(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)),
                         "losses");
  double sum = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const std::int64_t count = data::share_of_batch(whole.sequences, rank, ranks).count;
    const double* const first = all.data() + static_cast<std::size_t>(rank) * most;
    for (std::int64_t i = 0; i < count; ++i) sum += first[i];
  }
  return sum;
}

void TrainingStep::measure_gradients(float unscale) {
  const memory::TimelineRange range(context().device(), "gradient norm");
  if (!sums_over_sequences()) {
    optimizer_.measure_gradients(context(), *gradients_, unscale);
    return;
  }
  const model::ShardLayout& layout = optimizer_.layout();
  const double sum =
      sharded_gradients_
          ? granule_sum_of_squares(context(), communicator_, layout, sharded_gradients_->parts())
          : granule_sum_of_squares(context(), communicator_, layout,
                                   own_parts(layout, *gradients_, communicator_.rank()));
  optimizer_.adopt_sum_of_squares(context(), sum, unscale);
}

StepReport TrainingStep::compute_gradients(const data::TokenBatch& batch,
                                           std::int64_t first_sequence, std::int64_t step) {
  std::int64_t valid = 0;
  for (const std::int32_t target : batch.targets) valid += target != data::kIgnoreTarget ? 1 : 0;
  return compute_gradients(
      batch, {.first_sequence = first_sequence, .sequences = batch.count, .targets = valid}, step);
}

void TrainingStep::guard_on_device(const GuardSettings& settings, const GuardState& state) {
  kernels::cuda::Device* const device = plan_.target().device;
  const bool can = device != nullptr && !sums_over_sequences() && !average_ &&
                   plan_.target().dtype != kernels::DType::kFloat16;
  if (can) device_guard_.emplace(*device, settings, state);
}

void TrainingStep::enqueue_step(const data::TokenBatch& batch, const GlobalBatch& whole) {
  const bool scaled = plan_.target().dtype == kernels::DType::kFloat16;
  const float loss_scale = scaled ? static_cast<float>(loss_scale_.value) : 1.0f;
  // The mean over all valid targets of the global batch, whatever the split into ranks and
  // micro-batches.
  const float scale = whole.targets > 0 ? loss_scale / static_cast<float>(whole.targets) : 0.0f;
  enqueue_gradients(batch, whole, scale);
  measure_gradients(1.0f / loss_scale);
  if (!device_guard_) return;
  const model::BatchShape all{.sequences = batch.count, .length = plan_.micro_batch.length};
  device_guard_->enqueue(context(), {.losses = feed_.losses(0, all),
                                     .targets = whole.targets,
                                     .sum_of_squares = optimizer_.sum_of_squares(),
                                     .clip_scale = optimizer_.clip_scale()});
}

StepReport TrainingStep::compute_gradients(const data::TokenBatch& batch, const GlobalBatch& whole,
                                           std::int64_t step) {
  const Stopwatch stopwatch;
  enqueue_step(batch, whole);
  synchronize();
  StepReport report = report_of(batch, whole, step);
  if (device_guard_) report.left_out = device_guard_->wait_for_left_out();
  report.seconds = stopwatch.seconds();
  return report;
}

StepReport TrainingStep::compute_and_update(const data::TokenBatch& batch, const GlobalBatch& whole,
                                            std::int64_t step) {
  const Stopwatch stopwatch;
  enqueue_step(batch, whole);
  StepReport enqueued;
  enqueued.learning_rate = optimizer::learning_rate(schedule_, step);
  update(enqueued, step);
  const bool left_out = device_guard_.value().wait_for_left_out();
  StepReport report = report_of(batch, whole, step);
  report.left_out = left_out;
  report.seconds = stopwatch.seconds();
  return report;
}

StepReport TrainingStep::report_of(const data::TokenBatch& batch, const GlobalBatch& whole,
                                   std::int64_t step) {
  StepReport report;
  report.loss =
      whole.targets > 0 ? sum_of_losses(batch, whole) / static_cast<double>(whole.targets) : 0.0;
  report.gradient_norm = optimizer_.gradient_norm();
  report.learning_rate = optimizer::learning_rate(schedule_, step);
  report.sequences = whole.sequences;
  report.tokens = whole.sequences * plan_.micro_batch.length;
  report.own_seconds = own_seconds_;
  return report;
}

void TrainingStep::update(StepReport& report, std::int64_t step) {
  const Stopwatch stopwatch;
  const memory::TimelineRange range(context().device(), "update");
  optimizer::AdamWUpdate operands = update_operands();
  operands.learning_rate = report.learning_rate;
  operands.step = step + 1;
  if (sharded_weights_) sharded_weights_->forget();
  optimizer_.update(context(), operands);
  gather_updated();
  if (merged_) merged_->forget();
  if (average_) {
    const double t = static_cast<double>(step);
    const double decay = std::min(plan_.config().weight_average.decay, (1.0 + t) / (10.0 + t));
    moving_average_update(context(), {.value = weights_->flat(),
                                      .average = average_->flat(),
                                      .decay = static_cast<float>(decay)});
  }
  report.seconds += stopwatch.seconds();
}

optimizer::AdamWUpdate TrainingStep::update_operands() {
  optimizer::AdamWUpdate operands{.weights = weights_ ? &*weights_ : nullptr,
                                  .rounded = rounded_ ? &*rounded_ : nullptr,
                                  .seed = plan_.config().run.seed};
  if (sharded_weights_) {
    operands.weight_parts = sharded_weights_->parts();
    operands.rounded_parts = sharded_weights_->rounded_parts();
  }
  if (gradients_) operands.gradients = &*gradients_;
  if (sharded_gradients_) operands.gradient_parts = sharded_gradients_->parts();
  return operands;
}

void TrainingStep::gather_updated() {
  if (!plan_.shards_moments() || sharded_weights_) return;  // these are gathered when needed
  gather_parts(communicator_, optimizer_.layout(), *weights_);
  if (rounded_) gather_parts(communicator_, optimizer_.layout(), *rounded_);
}

StepReport TrainingStep::run(const data::TokenBatch& batch, std::int64_t first_sequence,
                             std::int64_t step) {
  StepReport report = compute_gradients(batch, first_sequence, step);
  if (!std::isfinite(report.loss) || !std::isfinite(report.gradient_norm)) {
    throw DivergedError(fmt::format("step {}: loss {}, gradient norm {}: training has diverged",
                                    step + 1, report.loss, report.gradient_norm));
  }
  update(report, step);
  return report;
}

WeightsOfPass TrainingStep::weights_of_pass() {
  if (sharded_weights_) {
    return {.views = sharded_weights_->views(),
            .on_needed = [this](std::size_t group) { sharded_weights_->note_needed(group); }};
  }
  if (!merged_) return {.views = compute_weights().views()};
  return {.views = merged_->views(),
          .on_needed = [this](std::size_t group) { merged_->note_needed(context(), group); }};
}

model::ParameterSet TrainingStep::merged_weights() {
  model::ParameterSet merged(without_adapters(plan_.model), "merged weights",
                             {.dtype = plan_.target().dtype, .device = plan_.target().device});
  model::merge_all(context(), plan_.model, *weights_, merged);
  return merged;
}

std::optional<model::ParameterSet> TrainingStep::collected_weights(bool wanted) {
  std::optional<model::ParameterSet> whole;
  if (wanted) {
    whole.emplace(
        plan_.model, "whole weights",
        model::ParameterStorage{.dtype = plan_.target().dtype, .device = plan_.target().device});
  }
  sharded_weights_.value().collect(whole ? &*whole : nullptr);
  return whole;
}

void TrainingStep::adopt_weights(std::int64_t steps) {
  if (merged_) merged_->forget();
  if (sharded_weights_) sharded_weights_->forget();
  if (!plan_.rounds_weights()) return;
  // Frozen weights are rounded to nearest; the optimizer rounds the others.
  if (!plan_.model.frozen.empty()) model::round_parameters(context(), *weights_, *rounded_);
  optimizer::AdamWUpdate operands = update_operands();
  operands.step = steps;
  optimizer_.round_weights(context(), operands);
  if (plan_.shards_moments() && rounded_) {
    gather_parts(communicator_, optimizer_.layout(), *rounded_);
  }
  synchronize();
}

const model::ParameterSet& TrainingStep::compute_average() {
  if (!rounded_average_) return average_.value();
  model::round_parameters(context(), average_.value(), *rounded_average_);
  return *rounded_average_;
}

void TrainingStep::synchronize() {
  memory::synchronize(context().device());
}

}  // namespace ovid::training
