#include "src/model/shard_layout.h"
#include "src/training/batch_size.h"
#include "src/training/early_stopping.h"
#include "src/training/memory_plan.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

RunPlan plan_of(std::int64_t sequences, std::int64_t micro_sequences) {
  RunPlan plan;
  plan.model = {.layers = 4, .heads = 4, .width = 64, .context_length = 32, .vocabulary_size = 300};
  plan.micro_batch = {.sequences = micro_sequences, .length = 32};
  plan.loaded.values.batch.sequences = sequences;
  return plan;
}

}  // namespace

TEST_CASE("a batch ramp rises in whole passes and then stays", "[training]") {
  const config::BatchSection batch{
      .sequences = 64, .micro_sequences = 8, .ramp_from = 8, .ramp_steps = 7, .length = 32};
  std::vector<std::int64_t> sizes;
  for (std::int64_t step = 0; step < 10; ++step) sizes.push_back(batch_sequences(batch, 8, step));
  CHECK(sizes == std::vector<std::int64_t>{8, 16, 24, 32, 40, 48, 56, 64, 64, 64});
  std::int64_t sum = 0;
  for (std::int64_t steps = 0; steps <= 10; ++steps) {
    CHECK(total_sequences(batch, 8, steps) == sum);
    if (steps < 10) sum += sizes[static_cast<std::size_t>(steps)];
  }
  CHECK(batch_sequences({.sequences = 64}, 8, 0) == 64);
}

TEST_CASE("a ramp never asks for less than one pass", "[training]") {
  const config::BatchSection batch{.sequences = 12, .ramp_from = 4, .ramp_steps = 1000};
  for (std::int64_t step = 0; step < 1000; ++step) {
    const std::int64_t n = batch_sequences(batch, 4, step);
    CHECK((n == 4 || n == 8));
  }
}

TEST_CASE("early stopping counts validations without enough improvement", "[training]") {
  ValidationProgress progress;
  CHECK(note_validation(progress, 3.0, 0.1));
  CHECK_FALSE(note_validation(progress, 2.95, 0.1));
  CHECK_FALSE(note_validation(progress, std::numeric_limits<double>::quiet_NaN(), 0.1));
  CHECK(out_of_patience(progress, 2));
  CHECK_FALSE(out_of_patience(progress, 3));
  CHECK_FALSE(out_of_patience(progress, 0));
  CHECK(note_validation(progress, 2.8, 0.1));
  CHECK_FALSE(out_of_patience(progress, 1));
}

TEST_CASE("memory is planned for a GPU that is not there, by number types", "[training]") {
  RunPlan plan = plan_of(16, 16);
  const MemoryPlan cpu = plan_memory(plan);
  CHECK_FALSE(cpu.on_gpu);
  CHECK(cpu.pinned == 0);
  plan.compute.target.kind = kernels::DeviceKind::kCuda;
  plan.compute.target.dtype = kernels::DType::kBfloat16;
  const MemoryPlan gpu = plan_memory(plan);
  const auto bytes_of = [](const MemoryPlan& memory, const std::string& name) {
    for (const MemoryPlan::Part& part : memory.parts) {
      if (part.name == name) return static_cast<double>(part.bytes);
    }
    return 0.0;
  };
  // Half of each, but for rounding to lines; statistics stay float32.
  CHECK(gpu.on_gpu);
  CHECK(bytes_of(gpu, "weights") == bytes_of(cpu, "weights"));
  CHECK(bytes_of(gpu, "weights for products") ==
        Approx(bytes_of(cpu, "weights") / 2).epsilon(0.05));
  CHECK(bytes_of(gpu, "gradients of activations") ==
        Approx(bytes_of(cpu, "gradients of activations") / 2).epsilon(0.05));
  CHECK(bytes_of(gpu, "activations") < 0.7 * bytes_of(cpu, "activations"));
  CHECK(gpu.pinned > 0);
  CHECK(gpu.host_peak() == gpu.pinned + gpu.snapshot);
  CHECK(gpu.peak() == gpu.needed());
  CHECK(available_memory(plan) == 0);  // unknown: nothing is refused
  CHECK_NOTHROW(check_memory(plan, gpu));
}

TEST_CASE("gradients are 16-bit only where a step adds to them once", "[training]") {
  RunPlan plan = plan_of(16, 16);
  plan.compute.target.dtype = kernels::DType::kBfloat16;
  plan.loaded.values.batch.sequences = plan.micro_batch.sequences;
  CHECK(plan.gradient_storage().dtype == kernels::DType::kBfloat16);
  CHECK_FALSE(plan.gradient_storage().head_dtype);
  plan.loaded.values.batch.sequences = 2 * plan.micro_batch.sequences;
  CHECK(plan.gradient_storage().dtype == kernels::DType::kFloat32);
  // A large vocabulary: the head adds chunk after chunk to its own.
  plan.loaded.values.batch.sequences = plan.micro_batch.sequences;
  plan.model.vocabulary_size = 50257;
  plan.micro_batch.length = 1024;
  CHECK(plan.gradient_storage().dtype == kernels::DType::kBfloat16);
  CHECK(plan.gradient_storage().head_dtype == kernels::DType::kFloat32);
}

TEST_CASE("the planned memory falls with fewer sequences a pass and with recomputation",
          "[training]") {
  RunPlan plan = plan_of(16, 16);
  const std::size_t whole = plan_memory(plan).needed();
  plan.loaded.values.recompute = config::Recompute::kCheap;
  const std::size_t cheap = plan_memory(plan).needed();
  plan.loaded.values.recompute = config::Recompute::kBlock;
  const std::size_t block = plan_memory(plan).needed();
  plan.micro_batch.sequences = 4;
  CHECK(cheap < whole);
  CHECK(block < cheap);
  CHECK(plan_memory(plan).needed() < block);
}

TEST_CASE("moments in bfloat16 take half the memory, alone and in parts", "[training]") {
  const auto moments = [](const RunPlan& plan) {
    for (const MemoryPlan::Part& part : plan_memory(plan).parts) {
      if (part.name == "moments of AdamW") return static_cast<double>(part.bytes);
    }
    return 0.0;
  };
  for (const int ranks : {1, 3}) {
    RunPlan plan = plan_of(16, 16);
    plan.ranks.count = ranks;
    plan.loaded.values.distributed.zero_stage = 1;
    const double exact = moments(plan);
    plan.loaded.values.optimizer.state = config::OptimizerState::kBfloat16;
    CHECK(exact > 0);
    CHECK(moments(plan) == Approx(exact / 2).epsilon(0.05));  // of small tensors' cache lines
  }
}

TEST_CASE(
    "with ZeRO 2 a rank's gradients are its part and a few whole rows, but in canonical order",
    "[training]") {
  const auto gradients = [](const RunPlan& plan) {
    for (const MemoryPlan::Part& part : plan_memory(plan).parts) {
      if (part.name == "gradients") return part.bytes;
    }
    return std::size_t{0};
  };
  RunPlan plan = plan_of(16, 4);
  plan.model.layers = 24;
  plan.ranks.count = 4;
  plan.loaded.values.distributed.zero_stage = 1;
  const model::ShardLayout layout = model::lay_out_shards(plan.model, 4);
  std::int64_t rows = 0;
  for (const auto& group : layout.groups) rows += group.padded;
  const std::size_t whole = gradients(plan);
  CHECK(whole == static_cast<std::size_t>(rows) * sizeof(float));
  plan.loaded.values.distributed.zero_stage = 2;
  // The embeddings, three blocks of 24, the end; and a quarter of all.
  const std::int64_t kept = layout.groups.front().padded + 3 * layout.groups[1].padded +
                            layout.groups.back().padded + layout.shard_elements();
  CHECK(gradients(plan) == static_cast<std::size_t>(kept) * sizeof(float));
  CHECK(gradients(plan) < whole);
  plan.loaded.values.distributed.reduction = config::ReductionOrder::kCanonical;
  CHECK(gradients(plan) == whole);
}

TEST_CASE("auto takes the largest pass that fits, and 1 where none does", "[training]") {
  RunPlan plan = plan_of(24, 1);
  plan.loaded.values.samples.every_steps = 0;
  for (const std::int64_t sequences : {24, 12, 8, 6, 4, 3, 2, 1}) {
    plan.micro_batch.sequences = sequences;
    const std::size_t needed = plan_memory(plan).needed();
    CHECK(largest_micro_batch(plan, needed) == sequences);
    CHECK(largest_micro_batch(plan, needed - 1) == (sequences == 1 ? 1 : [&] {
            for (const std::int64_t n : {12, 8, 6, 4, 3, 2, 1}) {
              if (n < sequences) return n;
            }
            return std::int64_t{1};
          }()));
  }
  plan.loaded.values.batch.ramp_from = 16;
  CHECK(largest_micro_batch(plan, std::size_t{1} << 40) == 8);  // divides 24 and 16
}

TEST_CASE("the cure names the one setting that fits", "[training]") {
  RunPlan plan = plan_of(16, 16);
  plan.loaded.values.samples.every_steps = 0;
  const std::size_t needed = plan_memory(plan).needed();
  CHECK(setting_that_fits(plan, needed - 1) == "batch.micro_sequences: 8");
  plan.micro_batch.sequences = 1;
  CHECK(setting_that_fits(plan, plan_memory(plan).needed() - 1) == "recompute: cheap");
  CHECK(setting_that_fits(plan, 1000).empty());
  plan.loaded.values.recompute = config::Recompute::kBlock;
  const std::size_t least = plan_memory(plan).needed();
  CHECK(setting_that_fits(plan, least - 1) == "optimizer.state: bfloat16");
}

}  // namespace ovid::training
