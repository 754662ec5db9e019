#include "src/training/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/cuda/device.h"
#include "src/core/error.h"
#include "src/data/batch_share.h"
#include "src/generation/decoder.h"
#include "src/memory/arena.h"
#include "src/memory/machine_memory.h"
#include "src/model/merged_weights.h"
#include "src/model/model.h"
#include "src/model/shard_layout.h"
#include "src/optimizer/adamw_optimizer.h"
#include "src/training/batch_feed.h"
#include "src/training/canonical_tree.h"
#include "src/training/low_rank_plan.h"
#include "src/training/sharded_gradients.h"
#include "src/training/sharded_weights.h"

namespace ovid::training {
namespace {

std::size_t activation_bytes(const RunPlan& plan, model::Keep keep, model::BatchShape batch) {
  return memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, batch, keep, plan.target().dtype);
  });
}

std::size_t activation_gradient_bytes(const RunPlan& plan, model::BatchShape batch) {
  return memory::measure([&](memory::Arena& arena) {
    model::lay_out_activation_gradients(arena, plan.model, batch, plan.target().dtype);
  });
}

std::size_t scratch_bytes(const RunPlan& plan, model::Keep keep, model::BatchShape batch) {
  const model::ParameterStorage gradients = plan.gradient_storage(batch);
  return std::max(model::measure_scratch(plan.model, batch, plan.target(), keep, gradients),
                  optimizer::AdamWOptimizer::measure_scratch(plan.model, plan.target(), gradients));
}

std::size_t pass_bytes(const RunPlan& plan, model::Keep keep, std::int64_t sequences) {
  const model::BatchShape batch{.sequences = sequences, .length = plan.micro_batch.length};
  return activation_bytes(plan, keep, batch) + activation_gradient_bytes(plan, batch) +
         scratch_bytes(plan, keep, batch);
}

std::size_t set_bytes(const model::ModelConfig& config, model::ParameterStorage storage) {
  storage.only_measures = true;
  return model::ParameterSet(config, "measure", storage).arena().used_bytes();
}

std::size_t set_bytes(const RunPlan& plan, const model::ParameterStorage& storage) {
  return set_bytes(plan.model, storage);
}

std::size_t aligned(std::int64_t elements) {
  constexpr std::size_t kLine = memory::Arena::kAlignment;
  return (static_cast<std::size_t>(elements) * sizeof(float) + kLine - 1) / kLine * kLine;
}

// Of both moments: all of them, or the pieces that are this rank's.
std::size_t moment_bytes(const RunPlan& plan, kernels::DType moments) {
  return optimizer::AdamWOptimizer::measure_moments(plan.model, moments,
                                                    {.ranks = plan.ranks.count,
                                                     .rank = plan.ranks.rank,
                                                     .shards_moments = plan.shards_moments()});
}

// Of the sums that the canonical order keeps beside the gradients: CanonicalReduction's.
std::size_t partial_sum_bytes(const RunPlan& plan) {
  const std::int64_t sequences = plan.config().batch.sequences;
  const data::BatchShare share = data::share_of_batch(sequences, plan.ranks.rank, plan.ranks.count);
  const int whole = std::max(buffers_of_range(share.first, share.first + share.count) - 1, 0);
  const int parts = plan.ranks.count > 1 ? buffers_of_run(sequences, plan.ranks.count) : 0;
  const model::ShardLayout layout = model::lay_out_shards(plan.model, plan.ranks.count);
  return static_cast<std::size_t>(whole) *
             set_bytes(plan, {.shards = plan.shards(), .trained_only = true}) +
         static_cast<std::size_t>(parts) * aligned(layout.shard_elements());
}

std::size_t gradient_bytes(const RunPlan& plan, model::BatchShape pass) {
  const model::ParameterStorage storage = plan.gradient_storage(pass);
  if (!plan.shards_gradients()) return set_bytes(plan, storage);
  return ShardedGradients::bytes(model::lay_out_shards(plan.model, plan.ranks.count),
                                 storage.dtype);
}

// Of each group of weights the part of this rank, and the rows that a pass reads.
std::vector<MemoryPlan::Part> parts_of_stage_three(const RunPlan& plan, model::BatchShape pass,
                                                   kernels::DType moments) {
  const auto bytes = ShardedWeights::bytes(model::lay_out_shards(plan.model, plan.ranks.count),
                                           plan.target().dtype);
  std::vector<MemoryPlan::Part> parts = {{"part of the weights", bytes.parts}};
  if (plan.rounds_weights()) parts.push_back({"part for products", bytes.rounded});
  parts.push_back({"gathered weights", bytes.rows});
  parts.push_back({"gradients", gradient_bytes(plan, pass)});
  if (plan.canonical()) parts.push_back({"partial sums of gradients", partial_sum_bytes(plan)});
  parts.push_back({"moments of AdamW", moment_bytes(plan, moments)});
  return parts;
}

// The sets of parameters that a run holds.
std::vector<MemoryPlan::Part> parameter_parts(const RunPlan& plan, model::BatchShape pass,
                                              kernels::DType moments) {
  if (plan.shards_weights()) return parts_of_stage_three(plan, pass, moments);
  const std::size_t exact = set_bytes(plan, {.shards = plan.shards()});
  const std::size_t rounded =
      set_bytes(plan, {.dtype = plan.target().dtype, .shards = plan.shards()});
  std::vector<MemoryPlan::Part> parts = {{"weights", exact}};
  if (plan.rounds_weights()) parts.push_back({"weights for products", rounded});
  if (plan.model.low_rank.rank > 0) {
    parts.push_back({"merged weights of two blocks",
                     model::MergedWeights::bytes(plan.model, plan.target().dtype)});
  }
  parts.push_back({"gradients", gradient_bytes(plan, pass)});
  if (plan.canonical()) parts.push_back({"partial sums of gradients", partial_sum_bytes(plan)});
  parts.push_back({"moments of AdamW", moment_bytes(plan, moments)});
  if (plan.averages_weights()) {
    parts.push_back({"average of the weights", exact});
    if (plan.rounds_weights()) parts.push_back({"average for products", rounded});
  }
  return parts;
}

// What a rank writes into a checkpoint: its part of the moments, and rank 0 the rest; in stage 3
// its part of both.
std::size_t snapshot_of(const RunPlan& plan) {
  const std::size_t set = set_bytes(plan, {});
  const auto ranks = static_cast<std::size_t>(plan.ranks.count);
  const std::size_t kept = moment_bytes(plan, plan.moment_dtype());
  const std::size_t moments = plan.shards_moments() ? kept : kept / ranks;
  if (plan.shards_weights()) {
    const model::ShardLayout layout = model::lay_out_shards(plan.model, plan.ranks.count);
    return moments + ShardedWeights::bytes(layout, plan.target().dtype).parts;
  }
  if (plan.ranks.rank > 0) return moments;
  return moments + (plan.averages_weights() ? 2 : 1) * set;
}

std::size_t sum_of(const std::vector<MemoryPlan::Part>& parts) {
  std::size_t sum = 0;
  for (const MemoryPlan::Part& part : parts) sum += part.bytes;
  return sum;
}

// What may be set otherwise for a run to fit.
struct Setting {
  std::int64_t sequences;  // of a pass
  model::Keep keep;
  kernels::DType moments;
};

// All that the run holds with it.
std::size_t held_bytes(const RunPlan& plan, const Setting& s) {
  const bool on_gpu = plan.target().kind == kernels::DeviceKind::kCuda;
  const model::BatchShape pass{.sequences = s.sequences, .length = plan.micro_batch.length};
  return sum_of(parameter_parts(plan, pass, s.moments)) +
         BatchFeed::bytes(on_gpu, plan.positions_of_step()) + pass_bytes(plan, s.keep, s.sequences);
}

// Where it differs from the run's own: "recompute: block with batch.micro_sequences: 1".
std::string setting_text(const RunPlan& plan, const Setting& s) {
  std::vector<std::string> changes;
  if (s.moments != plan.moment_dtype()) changes.push_back("optimizer.state: bfloat16");
  if (s.keep != plan.keep()) {
    changes.push_back(s.keep == model::Keep::kBlockInputs ? "recompute: block"
                                                          : "recompute: cheap");
  }
  if (s.sequences != plan.micro_batch.sequences)
    changes.push_back(fmt::format("batch.micro_sequences: {}", s.sequences));
  std::string text;
  for (std::size_t i = 0; i < changes.size(); ++i)
    text += (i == 0 ? "" : i == 1 ? " with " : " and ") + changes[i];
  return text;
}

// Workspace of the matrix products, taken when the device is opened: it is no longer free then.
constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

std::vector<std::int64_t> divisors_downwards(std::int64_t n) {
  std::vector<std::int64_t> divisors;
  for (std::int64_t d = n; d >= 1; --d) {
    if (n % d == 0) divisors.push_back(d);
  }
  return divisors;
}

std::int64_t split_unit(const config::BatchSection& batch) {
  return batch.ramp_from > 0 ? std::gcd(batch.sequences, batch.ramp_from) : batch.sequences;
}

}  // namespace

std::size_t MemoryPlan::resident() const {
  return sum_of(parts);
}

MemoryPlan plan_memory(const RunPlan& plan) {
  const config::RunConfig& c = plan.config();
  MemoryPlan memory;
  memory.on_gpu = plan.target().kind == kernels::DeviceKind::kCuda;
  memory.parts = parameter_parts(plan, plan.micro_batch, plan.moment_dtype());
  memory.parts.push_back({"activations", activation_bytes(plan, plan.keep(), plan.micro_batch)});
  memory.parts.push_back(
      {"gradients of activations", activation_gradient_bytes(plan, plan.micro_batch)});
  memory.parts.push_back(
      {"scratch of the kernels", scratch_bytes(plan, plan.keep(), plan.micro_batch)});
  const std::int64_t positions = plan.positions_of_step();
  memory.parts.push_back({"tokens and losses", BatchFeed::bytes(memory.on_gpu, positions)});
  if (memory.on_gpu && plan.target().device == nullptr) {
    memory.parts.push_back({"workspace of cuBLASLt", kWorkspaceBytes});
  }
  memory.pinned = BatchFeed::pinned_bytes(memory.on_gpu, positions);
  if (c.samples.every_steps > 0) {
    const model::ModelConfig plain = without_adapters(plan.model);
    memory.sampling = generation::Decoder::required_bytes(plain, 1, plan.target());
    const bool collects = plan.shards_weights() && plan.ranks.rank == 0;
    if (plan.model.low_rank.rank > 0 || collects)
      memory.sampling += set_bytes(plain, {.dtype = plan.target().dtype});
  }
  if (saves_beside_training(c)) {
    memory.snapshot = snapshot_of(plan);
  }
  return memory;
}

std::size_t available_memory(const RunPlan& plan) {
  if (plan.target().kind == kernels::DeviceKind::kCpu) return memory::available_memory();
  return plan.target().device != nullptr ? plan.target().device->free_memory() : 0;
}

std::string setting_that_fits(const RunPlan& plan, std::size_t available) {
  std::vector<Setting> settings;  // the least change first, and what changes numbers last
  for (const std::int64_t n : divisors_downwards(split_unit(plan.config().batch))) {
    if (n < plan.micro_batch.sequences) settings.push_back({n, plan.keep(), plan.moment_dtype()});
  }
  for (const kernels::DType moments : {plan.moment_dtype(), kernels::DType::kBfloat16}) {
    for (const model::Keep keep :
         {plan.keep(), model::Keep::kWithoutCheap, model::Keep::kBlockInputs}) {
      for (const std::int64_t n : {plan.micro_batch.sequences, std::int64_t{1}})
        settings.push_back({n, keep, moments});
    }
  }
  for (const Setting& s : settings) {
    if (held_bytes(plan, s) > available) continue;
    const std::string text = setting_text(plan, s);
    if (!text.empty()) return text;
  }
  return "";
}

std::int64_t largest_micro_batch(const RunPlan& plan, std::size_t available) {
  constexpr std::int64_t kUsual = 16;
  // Where the ranks do not divide the batch, the plan is refused for that, with one sequence a
  // pass.
  const std::int64_t unit = split_unit(plan.config().batch);
  const std::int64_t ranks = plan.ranks.count;
  for (const std::int64_t n : divisors_downwards(unit % ranks == 0 ? unit / ranks : 1)) {
    const Setting setting{n, plan.keep(), plan.moment_dtype()};
    if (available == 0 ? n <= kUsual : held_bytes(plan, setting) <= available) return n;
  }
  return 1;
}

bool saves_beside_training(const config::RunConfig& c) {
  // The save at the run's end is never one of them: nothing is left to do beside it.
  const bool on_schedule =
      c.checkpoint.every_steps > 0 && c.checkpoint.every_steps < c.training.steps;
  const bool of_the_best = c.checkpoint.save_best && c.validation.every_steps > 0;
  return c.checkpoint.asynchronous && (on_schedule || of_the_best);
}

bool has_room_for_peak(const MemoryPlan& memory) {
  const std::size_t available = memory::available_memory();
  return available == 0 || memory.host_peak() <= available;
}

void check_memory(const RunPlan& plan, const MemoryPlan& memory) {
  const std::size_t available = available_memory(plan);
  if (available == 0 || memory.needed() <= available) return;
  using memory::readable_bytes;
  std::string parts;
  for (const MemoryPlan::Part& part : memory.parts) {
    parts += fmt::format("\n  {:<26}{:>12}", part.name, readable_bytes(part.bytes));
  }
  const std::string cure = setting_that_fits(plan, available);
  throw ResourceError(fmt::format(
      "the run needs {} of {}, but only {} are free:{}\n{}", readable_bytes(memory.needed()),
      memory.on_gpu ? "GPU memory" : "memory", readable_bytes(available), parts,
      cure.empty() ? "choose a smaller model or a shorter batch.length"
                   : fmt::format("it would fit with {}", cure)));
}

}  // namespace ovid::training
