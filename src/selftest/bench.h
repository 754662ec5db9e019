#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/common/execution_context.h"
#include "kernels/common/view.h"
#include "src/memory/buffer.h"
#include "src/memory/compute_target.h"

namespace ovid::selftest {

using kernels::DType;
using kernels::Shape;
using kernels::View;
using Doubles = std::vector<double>;

// One op at one size and in one number type: makes operands in the target's memory, runs the op
// twice, and holds the results against expected ones.
class Bench {
 public:
  // `seed` keys the random operands.
  Bench(const memory::ComputeTarget& target, DType dtype, std::uint64_t seed)
      : target_(target), dtype_(dtype), seed_(seed) {}

  DType dtype() const { return dtype_; }

  // A tensor in the target's memory; `values` are what its numbers are at the start, widened.
  struct Operand {
    View view;
    Doubles values;
    std::size_t place;  // among this bench's
    operator View() const { return view; }
  };

  // Uniform in [center - spread, center + spread), rounded to the number type.
  Operand random(Shape shape, double spread = 1.0, double center = 0.0);
  Operand random_float32(Shape shape, double spread = 1.0, double center = 0.0);
  Operand integers(Shape shape, const std::vector<std::int32_t>& values);
  Operand zeros(DType dtype, Shape shape);
  // NaN in every element: to be written whole.
  Operand unwritten(DType dtype, Shape shape);
  Operand unwritten(Shape shape) { return unwritten(dtype_, shape); }

  // Runs the op with exactly the scratch that a dry run measured, reads all operands back, puts
  // them back to their start and runs it again: every bit must be the same.
  void run(const std::function<void(kernels::ExecutionContext&)>& call);

  // What the operand holds after run(), widened.
  Doubles read(const Operand& operand) const;

  // Holds what run() left in `operand` against `expected`: |actual - expected| may be `limit` times
  // the larger of |expected| and the root mean square of all of them.
  void compare(const std::string& what, const Operand& operand, const Doubles& expected,
               double limit);

  // Of all comparisons so far the one nearest to, or farthest beyond, its limit.
  struct Worst {
    std::string what;
    double error = 0;
    double limit = 0;
    bool beyond() const { return !(error <= limit); }
  };
  const Worst& worst() const { return worst_; }
  bool repeats() const { return repeats_; }

 private:
  struct Memory {
    memory::Buffer buffer;
    std::vector<std::byte> start;
    std::vector<std::byte> end;
  };
  Operand place(DType dtype, Shape shape, std::vector<std::byte> bytes, Doubles values);
  Operand random_of(DType dtype, Shape shape, double spread, double center);
  void run_once(const std::function<void(kernels::ExecutionContext&)>& call, std::size_t scratch,
                bool first);

  memory::ComputeTarget target_;
  DType dtype_;
  std::uint64_t seed_;
  std::vector<Memory> memory_;
  Worst worst_;
  bool repeats_ = true;
};

// The error that arithmetic in float32 may leave: 8 units of 2^-24 for the elementwise part, and
// for a sum of `terms` numbers of random sign 4.3 sqrt(terms) more (six standard deviations of
// sequential rounding); beside it one rounding of the result to `dtype`.
double rounding_limit(DType dtype, std::int64_t terms);
// Half a unit in the last place of a number near 1.
double unit_roundoff(DType dtype);

}  // namespace ovid::selftest
