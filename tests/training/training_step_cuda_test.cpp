#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"
#include "src/memory/transfer.h"
#include "src/training/run_tensors.h"
#include "src/training/training_step.h"
#include "tests/catch.h"
#include "tests/test_files.h"

// The whole step on CUDA: the kernels as they are, on a GPU or on the PTX emulator.
namespace ovid::training {
namespace {

using kernels::DType;

constexpr std::int64_t kSequences = 2;
constexpr std::int64_t kLength = 24;
constexpr std::int64_t kVocabulary = 67;

// Opened once; null, with a message, where there is no device.
kernels::cuda::Device* device() {
  static const memory::OpenTarget open = memory::open_target({});
  if (open.device == nullptr) WARN("skipped: " << open.reason);
  return open.device.get();
}

struct Settings {
  kernels::cuda::Device* device = nullptr;  // null: the CPU
  DType dtype = DType::kFloat32;
  std::int64_t micro_sequences = kSequences;
  float dropout = 0.0f;
  config::Recompute recompute = config::Recompute::kNone;
  double average_decay = 0.0;
};

RunPlan plan_of(const Settings& s) {
  RunPlan plan;
  plan.model = {.layers = 2,
                .heads = 1,
                .width = 64,
                .context_length = kLength,
                .vocabulary_size = kVocabulary,
                .embedding_dropout = s.dropout,
                .attention_dropout = s.dropout,
                .residual_dropout = s.dropout};
  plan.micro_batch = {.sequences = s.micro_sequences, .length = kLength};
  plan.compute.target = {
      .kind = s.device == nullptr ? kernels::DeviceKind::kCpu : kernels::DeviceKind::kCuda,
      .device = s.device,
      .threads = 1,
      .dtype = s.dtype};
  config::RunConfig& c = plan.loaded.values;
  c.batch.sequences = kSequences;
  c.training.steps = 100;
  c.optimizer.learning_rate = 3e-3;
  c.schedule.warmup_steps = 0;
  c.recompute = s.recompute;
  c.weight_average.decay = s.average_decay;
  return plan;
}

data::TokenBatch batch_of(std::int64_t step) {
  data::TokenBatch batch{.count = kSequences, .length = kLength};
  for (std::int64_t i = 0; i < kSequences * kLength; ++i) {
    const std::int64_t token = i + 7 * step;
    batch.tokens.push_back(static_cast<std::int32_t>(token * token % kVocabulary));
    batch.targets.push_back(
        i < 5 ? data::kIgnoreTarget
              : static_cast<std::int32_t>((token + 1) * (token + 1) % kVocabulary));
  }
  return batch;
}

std::vector<std::byte> bytes_of(model::ParameterSet& set) {
  const model::View flat = set.flat();
  std::vector<std::byte> bytes(static_cast<std::size_t>(flat.elements()) *
                               kernels::bytes_of(flat.dtype()));
  memory::copy_to_host(set.device(), {bytes.data(), flat.dtype(), flat.shape()}, flat);
  memory::synchronize(set.device());
  return bytes;
}

// All of one moment, tensor by tensor.
std::vector<std::byte> moment_of(TrainingStep& step, model::View optimizer::MomentPiece::*which) {
  std::vector<std::byte> all;
  for (const optimizer::MomentPiece& piece : step.optimizer().pieces_to_load()) {
    const model::View& view = piece.*which;
    std::vector<std::byte> bytes(static_cast<std::size_t>(view.elements()) *
                                 kernels::bytes_of(view.dtype()));
    memory::copy_to_host(step.weights().device(), {bytes.data(), view.dtype(), view.shape()}, view);
    memory::synchronize(step.weights().device());
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

struct Outcome {
  std::vector<double> losses, norms;
  std::vector<std::byte> weights, first, second;

  bool operator==(const Outcome&) const = default;
};

void run_steps(TrainingStep& step, std::int64_t from, std::int64_t to, Outcome& outcome) {
  for (std::int64_t i = from; i < to; ++i) {
    const StepReport report = step.run(batch_of(i), i * kSequences, i);
    outcome.losses.push_back(report.loss);
    outcome.norms.push_back(report.gradient_norm);
  }
  step.synchronize();
  outcome.weights = bytes_of(step.weights());
  outcome.first = moment_of(step, &optimizer::MomentPiece::first);
  outcome.second = moment_of(step, &optimizer::MomentPiece::second);
}

Outcome train(const Settings& settings, std::int64_t steps) {
  const RunPlan plan = plan_of(settings);
  TrainingStep step(plan);
  start_tensors(plan, step);
  Outcome outcome;
  run_steps(step, 0, steps, outcome);
  return outcome;
}

// float32 results of the same sums in another order: a loss is a mean of some 40 numbers near 4,
// each behind chains of products that keep about 2^-20; the weights that AdamW moved by noise alone
// (keys' biases) do not reach it.
constexpr double kFloat32 = 2e-5;

}  // namespace

TEST_CASE("a float32 run on CUDA follows the CPU's", "[training][cuda]") {
  if (device() == nullptr) return;
  const Outcome cpu = train({}, 4);
  const Outcome cuda = train({.device = device()}, 4);
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    CHECK(cuda.losses[i] == Approx(cpu.losses[i]).epsilon(kFloat32));
    CHECK(cuda.norms[i] == Approx(cpu.norms[i]).epsilon(10 * kFloat32));
  }
}

TEST_CASE("dropout on CUDA draws the CPU's masks", "[training][cuda]") {
  if (device() == nullptr) return;
  const Outcome cpu = train({.dropout = 0.2f}, 2);
  const Outcome cuda = train({.device = device(), .dropout = 0.2f}, 2);
  CHECK(cuda.losses[0] == Approx(cpu.losses[0]).epsilon(kFloat32));
  CHECK(cuda.losses[1] == Approx(cpu.losses[1]).epsilon(kFloat32));
}

TEST_CASE("16-bit runs learn as the float32 run does", "[training][cuda]") {
  if (device() == nullptr) return;
  const Outcome exact = train({}, 4);
  for (const auto& [dtype, roundoff] :
       {std::pair{DType::kBfloat16, 0x1p-8}, std::pair{DType::kFloat16, 0x1p-11}}) {
    INFO(kernels::name_of(dtype));
    const Outcome rounded = train({.device = device(), .dtype = dtype}, 4);
    for (std::size_t i = 0; i < exact.losses.size(); ++i) {
      // Logits of size 1 carry some ten roundings of the stream, independent of each other.
      CHECK(rounded.losses[i] == Approx(exact.losses[i]).margin(10 * roundoff));
    }
    CHECK(rounded.losses.back() < rounded.losses.front() - 0.05);
  }
}

TEST_CASE("two runs on CUDA give the same bits, and recomputing blocks changes none",
          "[training][cuda]") {
  if (device() == nullptr) return;
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16}) {
    INFO(kernels::name_of(dtype));
    Settings s{.device = device(), .dtype = dtype, .micro_sequences = 1, .dropout = 0.1f};
    const Outcome first = train(s, 2);
    CHECK(train(s, 2) == first);
    s.recompute = config::Recompute::kBlock;
    CHECK(train(s, 2) == first);
    // The library's product works out GELU itself, from sums that were not rounded yet: the GELU
    // that is computed again differs from it by a rounding.
    s.recompute = config::Recompute::kCheap;
    const Outcome cheap = train(s, 2);
    CHECK(cheap.losses[0] == first.losses[0]);  // before the first backward pass
    CHECK(cheap.norms[0] ==
          Approx(first.norms[0]).epsilon(dtype == DType::kFloat32 ? kFloat32 : 0x1p-8));
  }
}

TEST_CASE("micro-batches add up to the gradient of the whole batch on CUDA", "[training][cuda]") {
  if (device() == nullptr) return;
  const Outcome whole = train({.device = device()}, 1);
  const Outcome split = train({.device = device(), .micro_sequences = 1}, 1);
  CHECK(split.losses[0] == Approx(whole.losses[0]).epsilon(kFloat32));
  CHECK(split.norms[0] == Approx(whole.norms[0]).epsilon(10 * kFloat32));
}

TEST_CASE("a checkpoint goes from CUDA to the CPU and back without a bit's change",
          "[training][cuda]") {
  if (device() == nullptr) return;
  const Settings on_cuda{.device = device(), .dtype = DType::kBfloat16, .average_decay = 0.9};
  const RunPlan cuda_plan = plan_of(on_cuda), cpu_plan = plan_of({.average_decay = 0.9});
  test::TemporaryDirectory folder;
  const auto save = [&](TrainingStep& step, const RunPlan& plan, std::int64_t number) {
    checkpoint::CheckpointContent content = content_of(plan, step);
    content.state_json = "{}";
    return checkpoint::write_checkpoint(folder.path(), number, content, {});
  };

  TrainingStep cuda(cuda_plan);
  start_tensors(cuda_plan, cuda);
  Outcome before, after;
  run_steps(cuda, 0, 2, before);
  const std::vector<std::byte> average = bytes_of(*cuda.average());
  const Path written_by_cuda = save(cuda, cuda_plan, 2);

  TrainingStep cpu(cpu_plan);
  resume_tensors(cpu_plan, written_by_cuda, 2, cpu);
  CHECK(bytes_of(cpu.weights()) == before.weights);
  CHECK(moment_of(cpu, &optimizer::MomentPiece::first) == before.first);
  CHECK(moment_of(cpu, &optimizer::MomentPiece::second) == before.second);
  CHECK(bytes_of(*cpu.average()) == average);
  const Path written_by_cpu = save(cpu, cpu_plan, 3);

  // The resumed run's 16-bit copy has the bits that the uninterrupted run's has: so has all after.
  TrainingStep resumed(cuda_plan);
  resume_tensors(cuda_plan, written_by_cpu, 2, resumed);
  run_steps(cuda, 2, 3, before);
  run_steps(resumed, 2, 3, after);
  CHECK(after.weights == before.weights);
  CHECK(after.losses.back() == before.losses.back());
}

TEST_CASE("an update whose float16 gradients overflowed changes nothing", "[training][cuda]") {
  if (device() == nullptr) return;
  const RunPlan plan = plan_of({.device = device(), .dtype = DType::kFloat16});
  TrainingStep step(plan);
  start_tensors(plan, step);
  const std::vector<std::byte> weights = bytes_of(step.weights());
  step.loss_scale().value = LossScale::kMost;
  StepReport report = step.compute_gradients(batch_of(0), 0, 0);
  CHECK(std::isfinite(report.loss));
  CHECK_FALSE(std::isfinite(report.gradient_norm));
  step.update(report, 0);
  step.synchronize();
  CHECK(bytes_of(step.weights()) == weights);

  step.loss_scale().value = 1024;
  report = step.compute_gradients(batch_of(0), 0, 0);
  const double norm = report.gradient_norm;
  CHECK(std::isfinite(norm));
  step.update(report, 0);
  step.synchronize();
  CHECK(bytes_of(step.weights()) != weights);
}

}  // namespace ovid::training
