#include "src/training/memory_plan.h"

#include <fmt/format.h>

#include <numeric>

#include "src/core/error.h"
#include "src/generation/decoder.h"
#include "src/memory/arena.h"
#include "src/memory/machine_memory.h"
#include "src/model/model.h"

namespace ovid::training {
namespace {

std::size_t pass_bytes(const RunPlan& plan, model::Keep keep, std::int64_t sequences) {
  const model::BatchShape batch{.sequences = sequences, .length = plan.micro_batch.length};
  const std::size_t activations = memory::measure([&](memory::Arena& arena) {
    model::lay_out_activations(arena, plan.model, batch, keep);
    model::lay_out_activation_gradients(arena, plan.model, batch);
  });
  return activations + model::measure_scratch(plan.model, batch, plan.device, plan.threads, keep);
}

std::size_t parameter_sets(const RunPlan& plan) {
  return plan.config().weight_average.decay > 0 ? 5 : 4;
}

std::size_t weight_bytes(const RunPlan& plan) {
  return model::ParameterSet(plan.model, "weights", true).arena().used_bytes();
}

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
  std::size_t sum = 0;
  for (const Part& part : parts) sum += part.bytes;
  return sum;
}

MemoryPlan plan_memory(const RunPlan& plan) {
  const config::RunConfig& c = plan.config();
  const std::size_t weights = weight_bytes(plan);
  MemoryPlan memory;
  memory.parts = {{"weights", weights},
                  {"gradients", weights},
                  {"first moments of AdamW", weights},
                  {"second moments of AdamW", weights}};
  if (c.weight_average.decay > 0) memory.parts.push_back({"average of the weights", weights});
  memory.parts.push_back({"activations", memory::measure([&](memory::Arena& arena) {
                            model::lay_out_activations(arena, plan.model, plan.micro_batch,
                                                       plan.keep());
                          })});
  memory.parts.push_back({"gradients of activations", memory::measure([&](memory::Arena& arena) {
                            model::lay_out_activation_gradients(arena, plan.model,
                                                                plan.micro_batch);
                          })});
  memory.parts.push_back(
      {"scratch of the kernels", model::measure_scratch(plan.model, plan.micro_batch, plan.device,
                                                        plan.threads, plan.keep())});
  if (c.samples.every_steps > 0) {
    memory.sampling = generation::Decoder::required_bytes(plan.model, 1, plan.device, plan.threads);
  }
  if (saves_beside_training(c)) memory.snapshot = (parameter_sets(plan) - 1) * weights;
  return memory;
}

std::string setting_that_fits(const RunPlan& plan, std::size_t available) {
  const std::size_t fixed = parameter_sets(plan) * weight_bytes(plan);
  if (fixed >= available) return "";
  const std::size_t left = available - fixed;
  for (const std::int64_t n : divisors_downwards(split_unit(plan.config().batch))) {
    if (n >= plan.micro_batch.sequences) continue;
    if (pass_bytes(plan, plan.keep(), n) <= left)
      return fmt::format("batch.micro_sequences: {}", n);
  }
  for (const auto& [keep, name] : {std::pair{model::Keep::kWithoutCheap, "cheap"},
                                   std::pair{model::Keep::kBlockInputs, "block"}}) {
    for (const std::int64_t n : {plan.micro_batch.sequences, std::int64_t{1}}) {
      if (pass_bytes(plan, keep, n) > left) continue;
      const std::string recompute = fmt::format("recompute: {}", name);
      return n == plan.micro_batch.sequences ? recompute
                                             : recompute + " with batch.micro_sequences: 1";
    }
  }
  return "";
}

std::int64_t largest_micro_batch(const RunPlan& plan, std::size_t available) {
  const std::size_t fixed = parameter_sets(plan) * weight_bytes(plan);
  const std::size_t left = available > fixed ? available - fixed : 0;
  for (const std::int64_t n : divisors_downwards(split_unit(plan.config().batch))) {
    if (pass_bytes(plan, plan.keep(), n) <= left) return n;
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
  return available == 0 || memory.peak() <= available;
}

void check_memory(const RunPlan& plan, const MemoryPlan& memory) {
  const std::size_t available = memory::available_memory();
  if (available == 0 || memory.needed() <= available) return;
  using memory::readable_bytes;
  std::string parts;
  for (const MemoryPlan::Part& part : memory.parts) {
    parts += fmt::format("\n  {:<26}{:>12}", part.name, readable_bytes(part.bytes));
  }
  const std::string cure = setting_that_fits(plan, available);
  throw ResourceError(fmt::format("the run needs {} of memory, but only {} are free:{}\n{}",
                                  readable_bytes(memory.needed()), readable_bytes(available), parts,
                                  cure.empty() ? "choose a smaller model or a shorter batch.length"
                                               : fmt::format("it would fit with {}", cure)));
}

}  // namespace ovid::training
