#include "tests/kernels/op_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>

#include "kernels/common/random.h"
#include "kernels/cpu/instruction_set.h"
#include "tests/catch.h"

namespace ovid::kernels::test {

namespace {

constexpr std::size_t kGuard = 64;
constexpr int kUnwritten = 0xFF;

double uniform(std::uint64_t seed, std::int64_t index) {
  const Philox4x32 words = philox4x32(seed, 0, static_cast<std::uint64_t>(index));
  return 2.0 * uniform_double(words[0], words[1]) - 1.0;
}

double float_of_half(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = (bits >> 15) != 0 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

double element(const std::byte* at, DType dtype) {
  const auto read = [at]<class T>(T value) {
    std::memcpy(&value, at, sizeof(T));
    return value;
  };
  switch (dtype) {
    case DType::kFloat64:
      return read(double{});
    case DType::kFloat32:
      return read(float{});
    case DType::kBfloat16:
      return std::bit_cast<float>(std::uint32_t{read(std::uint16_t{})} << 16);
    case DType::kFloat16:
      return float_of_half(read(std::uint16_t{}));
    case DType::kInt32:
      return read(std::int32_t{});
    case DType::kUint16:
      return read(std::uint16_t{});
    case DType::kUint8:
      return read(std::uint8_t{});
  }
  return std::nan("");
}

bool all_unwritten(const std::byte* first, std::size_t count) {
  return std::all_of(first, first + count, [](std::byte b) { return b == std::byte{kUnwritten}; });
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += std::isfinite(v) ? v * v : 0.0;
  return values.empty() ? 0.0 : std::sqrt(sum / static_cast<double>(values.size()));
}

std::string place(std::int64_t index, const Shape& shape) {
  const std::int64_t columns = std::max<std::int64_t>(shape.last(), 1);
  return fmt::format("row {}, column {} of {}", index / columns, index % columns, shape.text());
}

}  // namespace

void Tensor::Free::operator()(std::byte* memory) const {
  ::operator delete[](memory, std::align_val_t{ScratchArena::kAlignment});
}

std::size_t Tensor::bytes() const {
  const auto elements = static_cast<std::size_t>(shape_.rows() * row_stride_);
  return elements * bytes_of(dtype_) + kGuard;
}

Tensor::Tensor(DType dtype, Shape shape, std::int64_t row_stride)
    : shape_(shape), row_stride_(row_stride), dtype_(dtype) {
  memory_.reset(static_cast<std::byte*>(
      ::operator new[](bytes(), std::align_val_t{ScratchArena::kAlignment})));
  std::memset(memory(), kUnwritten, bytes());
}

Tensor::Tensor(const Tensor& other) : Tensor(other.dtype_, other.shape_, other.row_stride_) {
  std::memcpy(memory(), other.memory(), bytes());
}

Tensor Tensor::random(Shape shape, std::uint64_t seed, double spread, double center) {
  Tensor tensor(DType::kFloat32, shape);
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    tensor.data<float>()[i] = static_cast<float>(center + spread * uniform(seed, i));
  }
  return tensor;
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor tensor(dtype, shape);
  std::memset(tensor.memory(), 0, tensor.bytes() - kGuard);
  return tensor;
}

Tensor Tensor::filled(Shape shape, float value) {
  return of(shape, std::vector<float>(static_cast<std::size_t>(shape.elements()), value));
}

Tensor Tensor::of(Shape shape, const std::vector<float>& values) {
  Tensor tensor(DType::kFloat32, shape);
  REQUIRE(values.size() == static_cast<std::size_t>(shape.elements()));
  std::copy(values.begin(), values.end(), tensor.data<float>());
  return tensor;
}

Tensor Tensor::of(Shape shape, const std::vector<std::int32_t>& values) {
  Tensor tensor(DType::kInt32, shape);
  REQUIRE(values.size() == static_cast<std::size_t>(shape.elements()));
  std::copy(values.begin(), values.end(), tensor.data<std::int32_t>());
  return tensor;
}

Tensor Tensor::padded(std::int64_t row_stride) const {
  Tensor tensor(dtype_, shape_, row_stride);
  const std::size_t size = bytes_of(dtype_);
  for (std::int64_t row = 0; row < shape_.rows(); ++row) {
    std::memcpy(tensor.memory() + static_cast<std::size_t>(row * row_stride) * size,
                memory() + static_cast<std::size_t>(row * row_stride_) * size,
                static_cast<std::size_t>(shape_.last()) * size);
  }
  return tensor;
}

std::vector<double> Tensor::values() const {
  std::vector<double> out;
  out.reserve(static_cast<std::size_t>(shape_.elements()));
  for (std::int64_t row = 0; row < shape_.rows(); ++row) {
    for (std::int64_t column = 0; column < shape_.last(); ++column) {
      const auto index = static_cast<std::size_t>(row * row_stride_ + column);
      out.push_back(element(memory() + index * bytes_of(dtype_), dtype_));
    }
  }
  return out;
}

bool Tensor::surroundings_untouched() const {
  const std::size_t size = bytes_of(dtype_);
  const auto gap = static_cast<std::size_t>(row_stride_ - shape_.last()) * size;
  for (std::int64_t row = 0; row < shape_.rows() && gap > 0; ++row) {
    const auto first = static_cast<std::size_t>(row * row_stride_ + shape_.last());
    if (!all_unwritten(memory() + first * size, gap)) return false;
  }
  return all_unwritten(memory() + bytes() - kGuard, kGuard);
}

bool Tensor::same_bits(const Tensor& other) const {
  if (dtype_ != other.dtype_ || !(shape_ == other.shape_)) return false;
  const std::size_t size = bytes_of(dtype_);
  for (std::int64_t row = 0; row < shape_.rows(); ++row) {
    if (std::memcmp(memory() + static_cast<std::size_t>(row * row_stride_) * size,
                    other.memory() + static_cast<std::size_t>(row * other.row_stride_) * size,
                    static_cast<std::size_t>(shape_.last()) * size) != 0) {
      return false;
    }
  }
  return true;
}

void run_op(int threads, const std::function<void(ExecutionContext&)>& call) {
  ScratchArena measured;
  ExecutionContext dry = ExecutionContext::dry_run(DeviceKind::kCpu, threads, measured);
  call(dry);
  const std::size_t need = measured.high_water();
  Tensor memory(DType::kUint8, Shape{static_cast<std::int64_t>(need)});
  ScratchArena arena(std::span(static_cast<std::byte*>(memory.view().raw()), need));
  ExecutionContext ctx(DeviceKind::kCpu, threads, arena);
  call(ctx);
  INFO("an op wrote behind its scratch of " << need << " bytes");
  CHECK(memory.surroundings_untouched());
}

std::string shape_error_of(const std::function<void(ExecutionContext&)>& call) {
  try {
    run_op(1, call);
  } catch (const ShapeError& error) {
    return error.what();
  }
  return "";
}

void for_each_instruction_set(const std::function<void()>& body) {
  for (const std::string& name : cpu::supported_instruction_sets()) {
    const cpu::UseInstructionSet use(name);
    INFO("instruction set " << name);
    body();
  }
}

double tolerance(DType dtype, std::int64_t reduction_length) {
  double roundoff = 0x1p-24;
  if (dtype == DType::kFloat64) roundoff = 0x1p-53;
  if (dtype == DType::kBfloat16) roundoff = 0x1p-8;
  if (dtype == DType::kFloat16) roundoff = 0x1p-11;
  return roundoff * (8.0 + 4.3 * std::sqrt(static_cast<double>(reduction_length)));
}

void check_close(const std::string& what, const Tensor& actual, const std::vector<double>& expected,
                 double relative) {
  const std::vector<double> values = actual.values();
  REQUIRE(values.size() == expected.size());
  const double floor = root_mean_square(expected);
  double worst = -1.0;
  std::size_t worst_index = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(values[i])) continue;
    if (values[i] == expected[i]) continue;  // also infinities
    double ratio = std::abs(values[i] - expected[i]) / std::max(std::abs(expected[i]), floor);
    if (!(ratio < INFINITY)) ratio = INFINITY;
    if (ratio > worst) worst = ratio, worst_index = i;
  }
  if (worst > relative) {
    FAIL_CHECK(fmt::format(
        "{}: {} is {}, expected {}; off by {:.3g} of max(value, rms {:.3g}), allowed {:.3g}", what,
        place(static_cast<std::int64_t>(worst_index), actual.shape()), values[worst_index],
        expected[worst_index], worst, floor, relative));
  }
  INFO(what << " " << actual.shape().text() << ": padding or guard overwritten");
  CHECK(actual.surroundings_untouched());
}

void check_gradient(const std::string& what,
                    const std::function<double(const std::vector<double>&)>& f,
                    const std::vector<double>& x, const std::vector<double>& gradient) {
  REQUIRE(x.size() == gradient.size());
  const double allowed = 1000 * 4e-11;
  std::vector<double> at = x;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double h = std::cbrt(0x1p-52) * std::max(1.0, std::abs(x[i]));
    at[i] = x[i] + h;
    const double above = f(at);
    at[i] = x[i] - h;
    const double below = f(at);
    at[i] = x[i];
    const double difference = (above - below) / (2 * h);
    const double scale = std::max({1.0, std::abs(above), std::abs(gradient[i])});
    if (!(std::abs(difference - gradient[i]) <= allowed * scale)) {
      FAIL_CHECK(fmt::format("{}: gradient {} of {} is {}, by finite differences {}", what, i,
                             x.size(), gradient[i], difference));
      return;
    }
  }
  CHECK(!x.empty());
}

void check_same_bits_on_threads(const std::string& what,
                                const std::function<std::vector<Tensor>(int threads)>& run) {
  const std::vector<Tensor> expected = run(1);
  for (const int threads : {2, 3, 5, 8}) {
    const std::vector<Tensor> actual = run(threads);
    REQUIRE(actual.size() == expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
      INFO(what << ": result " << i << " " << actual[i].shape().text() << " differs on " << threads
                << " threads");
      CHECK(actual[i].same_bits(expected[i]));
    }
  }
}

std::vector<double> random_doubles(std::int64_t count, std::uint64_t seed, double spread) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(spread * uniform(seed, i));
  return out;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace ovid::kernels::test
