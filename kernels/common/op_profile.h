#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/execution_context.h"

namespace ovid::kernels {

// What an op has to do at least: arithmetic, and memory moved when every operand is read and every
// result written once.
struct OpCost {
  double flops = 0;
  double bytes = 0;
};

// Where the time of a run goes, op by op; calls of one op and one shape are summed. Attach it with
// ExecutionContext::set_profile. One thread at a time.
class OpProfile {
 public:
  struct Entry {
    std::string name;   // "linear_forward"
    std::string shape;  // "1024x768x2304", as the op names its sizes
    std::int64_t calls = 0;
    double seconds = 0;
    OpCost cost;  // of all calls
  };

  void add(std::string_view name, std::string_view shape, double seconds, OpCost cost);
  void clear() { entries_.clear(); }
  const std::vector<Entry>& entries() const { return entries_; }  // in order of first call

 private:
  friend class OpScope;
  // The place in entries_ of this op and shape, made where it is new.
  std::size_t place_of(std::string_view name, std::string_view shape);
  void add_call(std::size_t place, double seconds, OpCost cost) noexcept;

  std::vector<Entry> entries_;
};

// The time from here to the end of the scope is one call of an op. Costs one branch where the
// context has no profile. Stands in the op's entry function, behind the checks of its operands:
//   const OpScope scope(ctx, "gelu_forward", {N, C}, {.flops = ..., .bytes = ...});
// On a device that works asynchronously it is the time of the launch.
class OpScope {
 public:
  // sizes: up to five, in the order in which the op names them.
  OpScope(ExecutionContext& ctx, const char* name, std::initializer_list<std::int64_t> sizes,
          OpCost cost)
      : profile_(ctx.profile()) {
    if (profile_ != nullptr) begin(name, sizes, cost);
  }
  ~OpScope() {
    if (profile_ != nullptr) end();
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  void begin(const char* name, std::initializer_list<std::int64_t> sizes, OpCost cost);
  void end() noexcept;

  OpProfile* profile_;
  std::size_t place_ = 0;
  OpCost cost_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace ovid::kernels
