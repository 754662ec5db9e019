#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"

// What the tests of ops share: tensors that own their memory, a run with exactly the scratch that
// was measured, and comparisons that name op, shape and the worst element. Failures are reported to
// Catch2 (CHECK), not thrown.
namespace ovid::kernels::test {

// A tensor that owns 64-byte aligned memory and passes as View or ConstView. Unwritten bytes are
// 0xFF: NaN in every floating type, so that what an op forgets to write or wrongly reads is seen;
// guard bytes lie behind the last row.
class Tensor {
 public:
  Tensor(DType dtype, Shape shape) : Tensor(dtype, shape, shape.last()) {}
  Tensor(DType dtype, Shape shape, std::int64_t row_stride);
  Tensor(const Tensor& other);
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;
  Tensor& operator=(const Tensor&) = delete;

  // float32, uniform in [center - spread, center + spread), from Philox: the same on every machine.
  static Tensor random(Shape shape, std::uint64_t seed, double spread = 1.0, double center = 0.0);
  static Tensor zeros(DType dtype, Shape shape);
  static Tensor filled(Shape shape, float value);                          // float32
  static Tensor of(Shape shape, const std::vector<float>& values);         // float32
  static Tensor of(Shape shape, const std::vector<std::int32_t>& values);  // int32
  // The same values with padded rows; the padding is NaN.
  Tensor padded(std::int64_t row_stride) const;

  operator View() { return view(); }
  operator ConstView() { return view(); }
  operator ConstView() const { return {memory(), dtype_, shape_, row_stride_}; }
  View view() { return {memory(), dtype_, shape_, row_stride_}; }
  ConstView view() const { return *this; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  template <class T>
  T* data() {
    return view().data<T>();
  }
  template <class T>
  const T* data() const {
    return view().data<T>();
  }

  // The elements in C order without padding, as double (bfloat16 and float16 widened).
  std::vector<double> values() const;
  // Whether padding and guard bytes still are what they were when the tensor was made.
  bool surroundings_untouched() const;
  // All bits equal, padding left out.
  bool same_bits(const Tensor& other) const;

 private:
  std::byte* memory() const { return memory_.get(); }
  std::size_t bytes() const;

  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  Shape shape_;
  std::int64_t row_stride_;
  DType dtype_;
};

// Runs `call` twice: dry, which measures the scratch, then on the CPU with exactly that much, so
// that an op that takes more than it measured throws. Checks that nothing is written behind the
// scratch.
void run_op(int threads, const std::function<void(ExecutionContext&)>& call);

// The message of the ShapeError that `call` throws; empty where it throws none.
std::string shape_error_of(const std::function<void(ExecutionContext&)>& call);

// Calls `body` for each instruction set that this machine has; its name is part of every failure
// message.
void for_each_instruction_set(const std::function<void()>& body);

// How far a sum of `reduction_length` terms computed in `dtype` may lie from the exact one,
// relative to the root mean square of the results. With unit roundoff e, sequential sums of terms
// of random sign have partial sums of about sqrt(i) terms and each addition errs by up to e of it:
// sqrt(sum_i i) e = 0.71 n e against results of sqrt(n); six standard deviations are 4.3 sqrt(n) e.
// Beside it 8 e for the elementwise arithmetic around the sum.
double tolerance(DType dtype, std::int64_t reduction_length);

// CHECKs |actual - expected| <= relative * max(|expected|, rms of expected) for each element, and
// that padding and guard are untouched. NaN equals only NaN.
void check_close(const std::string& what, const Tensor& actual, const std::vector<double>& expected,
                 double relative);

// CHECKs `gradient` against central differences of f at x, all in double. With step h = cbrt(2^-52)
// max(1, |x|) both truncation (h^2 f''' / 6) and cancellation (2^-52 |f| / h) are near 4e-11 (|f| +
// 1); 1000 times that is allowed, and that relative to max(1, |f|, |gradient|). A wrong formula is
// off by far more than 1e-7.
void check_gradient(const std::string& what,
                    const std::function<double(const std::vector<double>&)>& f,
                    const std::vector<double>& x, const std::vector<double>& gradient);

// Calls run(threads) for 1, 2, 3, 5 and 8 threads and CHECKs that all tensors that it returns have
// equal bits.
void check_same_bits_on_threads(const std::string& what,
                                const std::function<std::vector<Tensor>(int threads)>& run);

// Uniform doubles in [-spread, spread), for references and check_gradient.
std::vector<double> random_doubles(std::int64_t count, std::uint64_t seed, double spread = 1.0);
// sum_i a_i b_i: turns a tensor-valued op into the scalar whose gradient with respect to the op's
// output is b.
double dot(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace ovid::kernels::test
