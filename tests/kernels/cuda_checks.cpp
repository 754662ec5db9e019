#include "tests/kernels/cuda_checks.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>

#include "kernels/cuda_backend/backend.h"
#include "tests/catch.h"

namespace ovid::kernels::test {

namespace {

std::uint16_t bfloat16_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

// Through the spacing of float16 numbers at the value's size.
std::uint16_t float16_bits(float value) {
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000u : 0u);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00u);
  const double size = std::fabs(static_cast<double>(value));
  if (size >= 65520.0) return static_cast<std::uint16_t>(sign | 0x7C00u);
  int exponent = size > 0 ? std::ilogb(size) : -15;
  if (exponent < -14) exponent = -14;
  const double units = std::nearbyint(std::ldexp(size, 10 - exponent));  // ties to even
  const auto steps = static_cast<std::uint32_t>(units);  // 1024 to 2048; below 1024: subnormal
  const std::uint32_t bits =
      steps < 1024 ? steps : (static_cast<std::uint32_t>(exponent + 15) << 10) + steps - 1024;
  return static_cast<std::uint16_t>(sign | bits);
}

constexpr std::size_t kGuard = 64;

std::size_t bytes_with_guard(const Tensor& tensor) {
  const ConstView view = tensor.view();
  return static_cast<std::size_t>(view.rows() * view.row_stride()) * bytes_of(view.dtype()) +
         kGuard;
}

}  // namespace

cuda::Device* cuda_device() {
  static const std::unique_ptr<cuda::Device> device = []() -> std::unique_ptr<cuda::Device> {
    const cuda::Availability available = cuda::availability();
    if (available.devices > 0) return cuda::open_device(0);
    WARN("skipped: " << available.reason);
    return nullptr;
  }();
  return device.get();
}

CudaRun::~CudaRun() {
  for (const Copy& copy : copies_) cuda_device()->release(copy.device);
}

View CudaRun::place(const Tensor& tensor, Tensor* result) {
  const ConstView view = tensor.view();
  const std::size_t bytes = bytes_with_guard(tensor);
  void* memory = cuda_device()->allocate(bytes, "a test");
  copies_.push_back({&tensor, result, memory, bytes});
  cuda_device()->copy_to_device(memory, view.raw(), bytes);
  return {memory, view.dtype(), view.shape(), view.row_stride()};
}

ConstView CudaRun::input(const Tensor& tensor) {
  return place(tensor, nullptr);
}

View CudaRun::output(Tensor& tensor) {
  return place(tensor, &tensor);
}

void CudaRun::op(const std::function<void(ExecutionContext&)>& call) {
  ScratchArena measured;
  ExecutionContext dry = ExecutionContext::dry_run(DeviceKind::kCuda, 1, measured);
  call(dry);
  const std::size_t need = measured.high_water();
  const std::vector<std::byte> unwritten(need + kGuard, std::byte{0xFF});
  cuda::Device& device = *cuda_device();
  void* memory = device.allocate(need + kGuard, "scratch of a test");
  device.copy_to_device(memory, unwritten.data(), unwritten.size());
  {
    ScratchArena arena(std::span(static_cast<std::byte*>(memory), need));
    ExecutionContext ctx(device, 1, arena);
    call(ctx);
  }
  std::vector<std::byte> after(kGuard);
  device.copy_to_host(after.data(), static_cast<std::byte*>(memory) + need, kGuard);
  device.synchronize();
  device.release(memory);
  INFO("an op wrote behind its scratch of " << need << " bytes");
  CHECK(std::memcmp(after.data(), unwritten.data(), kGuard) == 0);
}

void CudaRun::finish() {
  cuda::Device& device = *cuda_device();
  device.synchronize();
  for (const Copy& copy : copies_) {
    std::vector<std::byte> now(copy.bytes);
    device.copy_to_host(now.data(), copy.device, copy.bytes);
    device.synchronize();
    if (copy.result != nullptr) {
      std::memcpy(copy.result->view().raw(), now.data(), copy.bytes);
      CHECK(copy.result->surroundings_untouched());
    } else {
      INFO("an op changed one of its inputs");
      CHECK(std::memcmp(copy.host->view().raw(), now.data(), copy.bytes) == 0);
    }
  }
}

Tensor rounded_to(DType dtype, const Tensor& tensor) {
  if (dtype == DType::kFloat32) return tensor;
  Tensor out(dtype, tensor.shape(), tensor.view().row_stride());
  const ConstView from = tensor.view();
  for (std::int64_t row = 0; row < from.rows(); ++row) {
    for (std::int64_t column = 0; column < from.columns(); ++column) {
      const std::int64_t i = row * from.row_stride() + column;
      const float value = tensor.data<float>()[i];
      out.data<std::uint16_t>()[i] =
          dtype == DType::kBfloat16 ? bfloat16_bits(value) : float16_bits(value);
    }
  }
  return out;
}

void for_each_precision(const std::function<void(DType)>& body) {
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kFloat16}) {
    INFO("precision " << name_of(dtype));
    body(dtype);
  }
}

double cuda_tolerance(DType dtype, std::int64_t reduction_length) {
  const double rounding = dtype == DType::kBfloat16  ? std::ldexp(1.0, -8)
                          : dtype == DType::kFloat16 ? std::ldexp(1.0, -11)
                                                     : 0.0;
  return rounding + tolerance(DType::kFloat32, reduction_length);
}

}  // namespace ovid::kernels::test
