#pragma once

#include <vector>

#include "kernels/step_guard/step_guard.h"
#include "kernels/step_guard/step_guard_reference.h"
#include "tests/kernels/op_checks.h"

// Runs of steps that tests of the guard walk through, on any device.
namespace ovid::kernels::test {

constexpr std::int64_t kGuardWindow = 7;
constexpr double kGuardZ = 5.0;

// What one call reads beside the guard's memory.
struct GuardInputs {
  Tensor losses;
  Tensor sum_of_squares;
  std::int64_t targets;
  float unscale;
};

// What a guard remembers, empty at first, and what it wrote last.
struct GuardTensors {
  Tensor windows = Tensor::zeros(DType::kFloat64, Shape{2, kGuardWindow});
  Tensor places = Tensor::zeros(DType::kInt32, Shape{2});
  Tensor clip_scale = Tensor::filled({}, 0.5f);
  Tensor verdict = Tensor(DType::kFloat64, Shape{static_cast<std::int64_t>(Verdict::kNumbers)});

  double number(Verdict which) const {
    return verdict.data<double>()[static_cast<std::size_t>(which)];
  }
};

struct GuardStep {
  double loss = 2.0, norm = 1.0;  // about; both swing a little from step to step
};

// `count` losses whose mean over the targets is near `step.loss`: every third is no target and 0.
inline GuardInputs guard_inputs(GuardStep step, std::int64_t count, std::uint64_t number) {
  Tensor losses = Tensor::random({count}, number, 0.2);
  std::int64_t targets = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    float& loss = losses.data<float>()[i];
    if (i % 3 == 2) {
      loss = 0.0f;
      continue;
    }
    loss += static_cast<float>(step.loss);
    ++targets;
  }
  constexpr float kUnscale = 0.25f;
  const double swing = 1.0 + 0.05 * static_cast<double>(number % 3);
  Tensor sum(DType::kFloat64, Shape{});
  const double scaled = step.norm * swing / static_cast<double>(kUnscale);
  *sum.data<double>() = scaled * scaled;
  return {std::move(losses), std::move(sum), targets, kUnscale};
}

// Quiet steps until the windows are full and have turned round, then what a guard is there for.
inline std::vector<GuardStep> guard_steps() {
  std::vector<GuardStep> steps(2 * static_cast<std::size_t>(kGuardWindow) + 3);
  for (const GuardStep& step : std::vector<GuardStep>{{.loss = NAN},
                                                      {.norm = INFINITY},
                                                      {},
                                                      {.loss = 1e4},
                                                      {},
                                                      {.norm = 50},
                                                      {.loss = 0.0},
                                                      {.loss = 1e3, .norm = 1e3},
                                                      {}}) {
    steps.push_back(step);
  }
  // After a quiet window, a lasting rise, which is accepted in the end.
  steps.resize(steps.size() + static_cast<std::size_t>(kGuardWindow));
  for (int i = 0; i < 12; ++i) steps.push_back({.loss = 9.0});
  return steps;
}

// The reference's view of the same steps, and of the windows: oldest first.
struct ReferenceGuard {
  reference::GuardWindow losses{{}, static_cast<std::size_t>(kGuardWindow)};
  reference::GuardWindow norms{{}, static_cast<std::size_t>(kGuardWindow)};

  bool step(const GuardInputs& in) {
    double sum = 0;
    for (const double loss : in.losses.values()) sum += loss;
    return reference::step_guard(
        losses, norms, sum / static_cast<double>(in.targets),
        static_cast<double>(in.unscale) * std::sqrt(*in.sum_of_squares.data<double>()), kGuardZ);
  }
};

// Window `which` (0: losses, 1: norms) of `guard`, oldest first.
inline std::vector<double> window_of(const GuardTensors& guard, std::int64_t which) {
  std::vector<double> values;
  const std::int32_t* places = guard.places.data<std::int32_t>();
  for (std::int64_t i = 0; i < places[0]; ++i) {
    values.push_back(
        guard.windows.data<double>()[which * kGuardWindow + (places[1] + i) % kGuardWindow]);
  }
  return values;
}

inline Tensor vector_tensor(const std::vector<double>& values) {
  Tensor tensor(DType::kFloat64, Shape{static_cast<std::int64_t>(values.size())});
  for (std::size_t i = 0; i < values.size(); ++i) tensor.data<double>()[i] = values[i];
  return tensor;
}

}  // namespace ovid::kernels::test
