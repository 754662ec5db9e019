#include "src/selftest/bench.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "kernels/common/random.h"
#include "kernels/convert/convert.h"
#include "src/memory/execution.h"
#include "src/memory/transfer.h"

namespace ovid::selftest {
namespace {

using kernels::ConstView;
using kernels::ExecutionContext;

// Between float32 and `dtype` in host memory.
void convert_on_host(const ConstView& in, const View& out) {
  kernels::ScratchArena none;
  ExecutionContext ctx(kernels::DeviceKind::kCpu, 1, none);
  kernels::convert(ctx, {.in = in, .out = out});
}

std::vector<std::byte> bytes_from_floats(DType dtype, const std::vector<float>& values) {
  const Shape shape{static_cast<std::int64_t>(values.size())};
  std::vector<std::byte> bytes(values.size() * bytes_of(dtype));
  const ConstView in(values.data(), DType::kFloat32, shape);
  if (dtype == DType::kFloat32) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  } else {
    convert_on_host(in, View(bytes.data(), dtype, shape));
  }
  return bytes;
}

template <class T>
Doubles widened(const std::vector<std::byte>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return {values.begin(), values.end()};
}

Doubles widened(DType dtype, const std::vector<std::byte>& bytes) {
  switch (dtype) {
    case DType::kFloat64:
      return widened<double>(bytes);
    case DType::kInt32:
      return widened<std::int32_t>(bytes);
    case DType::kFloat32:
      return widened<float>(bytes);
    default:
      break;
  }
  const auto count = static_cast<std::int64_t>(bytes.size() / bytes_of(dtype));
  std::vector<std::byte> floats(static_cast<std::size_t>(count) * sizeof(float));
  convert_on_host(ConstView(bytes.data(), dtype, Shape{count}),
                  View(floats.data(), DType::kFloat32, Shape{count}));
  return widened<float>(floats);
}

double root_mean_square(const Doubles& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

}  // namespace

Bench::Operand Bench::place(DType dtype, Shape shape, std::vector<std::byte> bytes,
                            Doubles values) {
  memory_.push_back({memory::Buffer(bytes.size(), "an operand of the self-test", target_.device),
                     std::move(bytes),
                     {}});
  return {View(memory_.back().buffer.bytes().data(), dtype, shape), std::move(values),
          memory_.size() - 1};
}

Bench::Operand Bench::random_of(DType dtype, Shape shape, double spread, double center) {
  std::vector<float> values(static_cast<std::size_t>(shape.elements()));
  const auto key = static_cast<std::uint64_t>(memory_.size());  // another row of numbers for each
  for (std::size_t i = 0; i < values.size(); ++i) {
    const kernels::Philox4x32 words = kernels::philox4x32(seed_, key, i);
    const double uniform = 2.0 * kernels::uniform_double(words[0], words[1]) - 1.0;
    values[i] = static_cast<float>(center + spread * uniform);
  }
  std::vector<std::byte> bytes = bytes_from_floats(dtype, values);
  Doubles exact = widened(dtype, bytes);
  return place(dtype, shape, std::move(bytes), std::move(exact));
}

Bench::Operand Bench::random(Shape shape, double spread, double center) {
  return random_of(dtype_, shape, spread, center);
}

Bench::Operand Bench::random_float32(Shape shape, double spread, double center) {
  return random_of(DType::kFloat32, shape, spread, center);
}

Bench::Operand Bench::integers(Shape shape, const std::vector<std::int32_t>& values) {
  const auto raw = std::as_bytes(std::span(values));
  return place(DType::kInt32, shape, {raw.begin(), raw.end()}, {values.begin(), values.end()});
}

Bench::Operand Bench::zeros(DType dtype, Shape shape) {
  const auto elements = static_cast<std::size_t>(shape.elements());
  return place(dtype, shape, std::vector<std::byte>(elements * bytes_of(dtype)),
               Doubles(elements, 0.0));
}

Bench::Operand Bench::unwritten(DType dtype, Shape shape) {
  const auto elements = static_cast<std::size_t>(shape.elements());
  return place(dtype, shape, std::vector<std::byte>(elements * bytes_of(dtype), std::byte{0xFF}),
               Doubles(elements, std::numeric_limits<double>::quiet_NaN()));
}

void Bench::run_once(const std::function<void(ExecutionContext&)>& call, std::size_t scratch,
                     bool first) {
  const auto bytes_view = [](const void* data, std::size_t bytes) {
    return View(const_cast<void*>(data), DType::kUint8, Shape{static_cast<std::int64_t>(bytes)});
  };
  for (Memory& m : memory_) {
    memory::copy_to_device(target_.device, bytes_view(m.buffer.bytes().data(), m.start.size()),
                           bytes_view(m.start.data(), m.start.size()));
  }
  memory::Execution execution(target_.device, target_.threads, scratch);
  call(execution.context());
  for (Memory& m : memory_) {
    std::vector<std::byte> now(m.start.size());
    memory::copy_to_host(target_.device, bytes_view(now.data(), now.size()),
                         bytes_view(m.buffer.bytes().data(), now.size()));
    memory::synchronize(target_.device);
    if (!first && now != m.end) repeats_ = false;
    m.end = std::move(now);
  }
}

void Bench::run(const std::function<void(ExecutionContext&)>& call) {
  kernels::ScratchArena measured;
  ExecutionContext dry = ExecutionContext::dry_run(target_.kind, target_.threads, measured);
  call(dry);
  run_once(call, measured.high_water(), true);
  run_once(call, measured.high_water(), false);
}

Doubles Bench::read(const Operand& operand) const {
  return widened(operand.view.dtype(), memory_[operand.place].end);
}

void Bench::compare(const std::string& what, const Operand& operand, const Doubles& expected,
                    double limit) {
  const Doubles actual = read(operand);
  const double scale = root_mean_square(expected);
  Worst worst{.what = what, .limit = limit};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double size = std::max(std::abs(expected[i]), scale);
    const double difference = std::abs(actual[i] - expected[i]);
    const double error = difference == 0 ? 0 : difference / size;
    // A NaN is worse than any number.
    if (!(error <= worst.error)) worst.error = error;
    if (std::isnan(worst.error)) break;
  }
  const bool worse = worst_.limit == 0 || worst.beyond() ||
                     worst.error / worst.limit > worst_.error / worst_.limit;
  if (worse && !(worst_.limit > 0 && worst_.beyond())) worst_ = worst;
}

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::kBfloat16:
      return 0x1p-8;
    case DType::kFloat16:
      return 0x1p-11;
    default:
      return 0x1p-24;
  }
}

double rounding_limit(DType dtype, std::int64_t terms) {
  const double sums = (8.0 + 4.3 * std::sqrt(static_cast<double>(terms))) * 0x1p-24;
  return dtype == DType::kFloat32 ? sums : sums + unit_roundoff(dtype);
}

}  // namespace ovid::selftest
