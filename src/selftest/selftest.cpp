#include "src/selftest/selftest.h"

#include <algorithm>
#include <array>
#include <exception>

#include "src/core/stopwatch.h"
#include "src/selftest/cases.h"
#include "src/selftest/training_case.h"

namespace ovid::selftest {
namespace {

// As tests/kernels: truncation and cancellation of a central difference are near 4e-11; a wrong
// formula is off by far more than this.
constexpr double kFormulaLimit = 4e-8;

std::vector<DType> dtypes_of(const memory::ComputeTarget& target) {
  if (target.kind == kernels::DeviceKind::kCpu) return {DType::kFloat32};
  return {DType::kFloat32, DType::kBfloat16, DType::kFloat16};
}

// Fills in what a check finds, and turns what it throws into a result.
template <class Check>
CheckResult timed(CheckResult result, Check&& check) {
  const Stopwatch stopwatch;
  try {
    check(result);
    const bool good = result.error <= result.limit && result.repeats;
    result.outcome = good ? Outcome::kPassed : Outcome::kFailed;
  } catch (const std::exception& error) {
    result.outcome = Outcome::kBroken;
    result.message = error.what();
  }
  result.seconds = stopwatch.seconds();
  return result;
}

CheckResult check_formula(const FormulaCase& formula) {
  return timed({.name = formula.name, .numbers = "float64", .size = "formula"},
               [&](CheckResult& result) {
                 result.worst = "gradient";
                 result.error = formula.error();
                 result.limit = kFormulaLimit;
               });
}

CheckResult check_op(const memory::ComputeTarget& target, const OpCase& op, DType dtype, Size size,
                     std::uint64_t seed) {
  return timed({.name = op.name, .numbers = name_of(dtype), .size = name_of(size)},
               [&](CheckResult& result) {
                 Bench bench(target, dtype, seed);
                 op.check(bench, size);
                 result.worst = bench.worst().what;
                 result.error = bench.worst().error;
                 result.limit = bench.worst().limit;
                 result.repeats = bench.repeats();
               });
}

// On the CPU it holds the backend against itself, which still says whether training repeats.
CheckResult check_training(memory::ComputeTarget target, DType dtype, std::uint64_t seed) {
  return timed({.name = "training", .numbers = name_of(dtype), .size = "4 steps"},
               [&](CheckResult& result) {
                 target.dtype = dtype;
                 const TrainingDifference difference = compare_training(target, seed);
                 const bool of_loss = !(difference.loss <= difference.norm);
                 result.worst = of_loss ? "loss" : "gradient norm";
                 result.error = of_loss ? difference.loss : difference.norm;
                 result.limit = training_limit(dtype);
                 result.repeats = difference.repeats;
               });
}

}  // namespace

std::vector<CheckResult> run(const memory::ComputeTarget& target, const Settings& settings,
                             const std::function<void(const CheckResult&)>& on_result) {
  std::vector<CheckResult> results;
  const auto add = [&](CheckResult result) {
    if (on_result) on_result(result);
    results.push_back(std::move(result));
  };
  const auto wanted = [&](const std::string& name) {
    return name.find(settings.only) != std::string::npos;
  };
  for (const FormulaCase& formula : formula_cases()) {
    if (wanted(formula.name)) add(check_formula(formula));
  }
  for (const OpCase& op : op_cases()) {
    if (!wanted(op.name)) continue;
    for (const DType dtype : dtypes_of(target)) {
      if (op.only_float32 && dtype != DType::kFloat32) continue;
      if (op.applies != nullptr && !op.applies(target, dtype)) continue;
      for (const Size size : {Size::kSmall, Size::kGpt2}) {
        if (settings.quick && size == Size::kGpt2) continue;
        add(check_op(target, op, dtype, size, settings.seed));
      }
    }
  }
  for (const DType dtype : dtypes_of(target)) {
    if (wanted("training")) add(check_training(target, dtype, settings.seed));
  }
  return results;
}

bool all_passed(const std::vector<CheckResult>& results) {
  return std::all_of(results.begin(), results.end(),
                     [](const CheckResult& r) { return r.outcome == Outcome::kPassed; });
}

}  // namespace ovid::selftest
