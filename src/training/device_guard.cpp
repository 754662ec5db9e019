#include "src/training/device_guard.h"

#include <algorithm>
#include <vector>

#include "kernels/step_guard/step_guard.h"
#include "src/memory/transfer.h"

namespace ovid::training {

using kernels::DType;
using kernels::Shape;
using kernels::View;

namespace {

constexpr auto kNumbers = static_cast<std::int64_t>(kernels::Verdict::kNumbers);

}  // namespace

DeviceGuard::Memory DeviceGuard::lay_out(memory::Arena& arena, std::int64_t window) {
  return {arena.take("windows of the guard", DType::kFloat64, Shape{2, window}),
          arena.take("places in the windows", DType::kInt32, Shape{2}),
          arena.take("verdict", DType::kFloat64, Shape{kNumbers})};
}

DeviceGuard::DeviceGuard(kernels::cuda::Device& device, const GuardSettings& settings,
                         const GuardState& state)
    : device_(device),
      outlier_z_(settings.outlier_z),
      arena_("guard",
             memory::measure([&](memory::Arena& arena) { lay_out(arena, settings.window); }),
             &device),
      memory_(lay_out(arena_, settings.window)),
      host_verdict_(static_cast<std::size_t>(kNumbers) * sizeof(double), "verdict of the guard",
                    &device),
      judged_(device.make_event()) {
  const auto width = static_cast<std::size_t>(settings.window);
  // The setting may have shrunk since: the newest count.
  const std::size_t held = std::min(width, state.losses.size());
  std::vector<double> windows(2 * width);
  std::copy(state.losses.end() - static_cast<std::ptrdiff_t>(held), state.losses.end(),
            windows.begin());
  std::copy(state.gradient_norms.end() - static_cast<std::ptrdiff_t>(held),
            state.gradient_norms.end(), windows.begin() + static_cast<std::ptrdiff_t>(width));
  std::int32_t places[2] = {static_cast<std::int32_t>(held), 0};
  memory::copy_to_device(&device, memory_.windows,
                         View(windows.data(), DType::kFloat64, memory_.windows.shape()));
  memory::copy_to_device(&device, memory_.places, View(places, DType::kInt32, Shape{2}));
  device.synchronize();
}

void DeviceGuard::enqueue(kernels::ExecutionContext& ctx, const Step& step) {
  kernels::step_guard(ctx, {.losses = step.losses,
                            .targets = step.targets,
                            .sum_of_squares = step.sum_of_squares,
                            .outlier_z = outlier_z_,
                            .windows = memory_.windows,
                            .places = memory_.places,
                            .clip_scale = step.clip_scale,
                            .verdict = memory_.verdict});
  memory::copy_to_host(&device_,
                       View(host_verdict_.bytes().data(), DType::kFloat64, Shape{kNumbers}),
                       memory_.verdict);
  device_.record(*judged_, kernels::cuda::Queue::kCompute);
}

bool DeviceGuard::wait_for_left_out() {
  device_.synchronize(*judged_);
  const auto* const verdict = reinterpret_cast<const double*>(host_verdict_.bytes().data());
  return verdict[static_cast<int>(kernels::Verdict::kUpdateIsLeftOut)] != 0.0;
}

}  // namespace ovid::training
