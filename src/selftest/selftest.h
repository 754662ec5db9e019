#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/memory/open_target.h"

// Every kernel of a device against double precision, on whatever machine a user has.
namespace ovid::selftest {

enum class Outcome { kPassed, kFailed, kBroken };  // broken: the check itself threw

struct CheckResult {
  std::string name;     // "layernorm"
  std::string numbers;  // "bfloat16"
  std::string size;     // "small", "gpt2"
  Outcome outcome = Outcome::kPassed;
  std::string worst;    // the tensor nearest to its limit, or farthest beyond: "d_in"
  double error = 0;     // its largest error, relative to the larger of the number expected and
                        // the root mean square of all
  double limit = 0;     // derived from the arithmetic, not tuned
  bool repeats = true;  // a second run gave the same bits
  double seconds = 0;
  std::string message;  // why it is broken
};

struct Settings {
  bool quick = false;      // small sizes only
  std::string only;        // names that contain it; empty: all
  std::uint64_t seed = 1;  // of the operands
};

// Runs the checks in order: the references' gradients against finite differences ("formula"), then
// each op in each number type that the target computes in, small and at GPT-2's sizes, twice each;
// then some steps of training beside the CPU. on_result is told each as it ends. Throws nothing for
// a check that fails or breaks.
std::vector<CheckResult> run(const memory::ComputeTarget& target, const Settings& settings,
                             const std::function<void(const CheckResult&)>& on_result);

bool all_passed(const std::vector<CheckResult>& results);

// A table of all checks, what failed with all that a report of it needs, and a line of counts.
// `about`: lines on the program, the device and the libraries.
std::string to_text(const std::vector<CheckResult>& results, const std::vector<std::string>& about);
// {"about": [...], "passed": N, "failed": N, "checks": [{...}]}
std::string to_json(const std::vector<CheckResult>& results, const std::vector<std::string>& about);

}  // namespace ovid::selftest
