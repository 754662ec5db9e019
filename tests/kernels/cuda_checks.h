#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cuda/device.h"
#include "tests/kernels/op_checks.h"

// What the tests of CUDA kernels share. They run the real kernels: on a GPU, or on the PTX
// emulator, whose libraries ctest puts before CUDA's (tests/kernels/CMakeLists.txt).
namespace ovid::kernels::test {

// The device of this test program, opened once. Null, and a message why, where there is none.
cuda::Device* cuda_device();

// Copies of host tensors in device memory, filled at the start and read back at the end. Memory
// behind each is a guard, and an operand that was only written is NaN before.
//
//   CudaRun run;
//   const View in = run.input(host_in);              // copied to the device
//   const View out = run.output(host_out);           // copied there and, after finish(), back
//   run.op([&](ExecutionContext& ctx) { gelu_forward(ctx, {.in = in, .out = out}); });
//   run.finish();
class CudaRun {
 public:
  CudaRun() = default;
  ~CudaRun();
  CudaRun(const CudaRun&) = delete;
  CudaRun& operator=(const CudaRun&) = delete;

  ConstView input(const Tensor& tensor);
  View output(Tensor& tensor);  // in and out

  // Runs `call` dry, which measures the scratch, then on the device with exactly that much, behind
  // which nothing may be written.
  void op(const std::function<void(ExecutionContext&)>& call);
  // Waits, copies every output back and checks that no input has changed.
  void finish();

 private:
  struct Copy {
    const Tensor* host;
    Tensor* result;  // null: an input
    void* device;
    std::size_t bytes;
  };
  View place(const Tensor& tensor, Tensor* result);
  std::vector<Copy> copies_;
};

// `tensor` (float32) rounded to `dtype`, ties to even: what a kernel of that precision reads.
Tensor rounded_to(DType dtype, const Tensor& tensor);

// float32, bfloat16 and float16, with the name in every failure message.
void for_each_precision(const std::function<void(DType)>& body);

// Unit roundoff of the results, and what sums in float leave beside it: a result computed in float
// from exact inputs and rounded once to `dtype`.
double cuda_tolerance(DType dtype, std::int64_t reduction_length);

}  // namespace ovid::kernels::test
