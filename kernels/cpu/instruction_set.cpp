#include "kernels/cpu/instruction_set.h"

#include <cstdint>

#include "kernels/common/errors.h"
#include "kernels/cpu/simd.h"

// simd.h comes first: it chooses Highway's targets.
#include "hwy/highway.h"

namespace ovid::kernels::cpu {

namespace {

// Highway gives better targets lower bits.
std::int64_t best_of(std::int64_t targets) {
  return targets & -targets;
}

void choose(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace

std::string instruction_set() {
  return hwy::TargetName(best_of(hwy::SupportedTargets() & HWY_TARGETS));
}

std::vector<std::string> supported_instruction_sets() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.emplace_back(hwy::TargetName(target));
  }
  return names;
}

UseInstructionSet::UseInstructionSet(const std::string& name) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name != hwy::TargetName(target)) continue;
    choose(target);
    return;
  }
  std::string known;
  for (const std::string& supported : supported_instruction_sets()) known += " " + supported;
  throw DeviceError("instruction set " + name + " is not supported here; choose one of" + known);
}

UseInstructionSet::~UseInstructionSet() {
  choose(0);
}

}  // namespace ovid::kernels::cpu
