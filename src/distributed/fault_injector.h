#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/view.h"
#include "src/distributed/communicator.h"
#include "src/distributed/rank.h"
#include "src/distributed/section_timeouts.h"

namespace ovid::distributed {

enum class FaultKind {
  kKill,      // the process ends at once, by SIGKILL
  kHang,      // an endless loop
  kStop,      // the process is stopped as a whole, by SIGSTOP
  kSleep,     // `seconds` of doing nothing: a straggler
  kError,     // an exception, as a defect would throw
  kMismatch,  // a collective that the other ranks do not call
  kFlip,      // one bit of the weights turns over: silent corruption
};

// A fault, where and when.
struct Fault {
  FaultKind kind = FaultKind::kKill;
  int rank = 0;
  std::optional<std::int64_t> step;  // absent: at any, by probability
  std::int64_t steps = 1;            // it lasts (kSleep)
  Section section = Section::kStep;
  double probability = 1;  // at each place that the rest allows, drawn from `seed`
  std::uint64_t seed = 0;
  double seconds = 1;         // kSleep
  std::uint64_t element = 0;  // kFlip: of the tensors laid end to end, modulo their number
  int bit = 30;               // kFlip: of a float32, 30 is the top bit of the exponent
};

// "kill:rank=1,step=5;sleep:rank=2,step=3,steps=20,seconds=0.05;hang:step=4,section=evaluation".
// Throws UsageError naming the part that is wrong and what may stand there.
std::vector<Fault> parse_faults(std::string_view text);

// Makes ranks fail on purpose, so that what catches failures can be tried on a user's machine. Does
// nothing without faults; these come from the environment variable OVID_FAULTS, and a warning tells
// of every one that concerns this rank.
class FaultInjector {
 public:
  FaultInjector(std::vector<Fault> faults, const RankInfo& ranks);
  static FaultInjector from_environment(const RankInfo& ranks);

  // To be called where a section begins. May not return.
  void reach(Section section, std::int64_t step, Communicator& communicator) const;

  // To be called before a step's gradients; `weights` are float32, in the host's memory.
  void corrupt(std::span<const kernels::View> weights, std::int64_t step) const;

  bool empty() const { return faults_.empty(); }

 private:
  bool is_due(const Fault& fault, Section section, std::int64_t step) const;

  std::vector<Fault> faults_;  // of this rank
  RankInfo ranks_;
};

}  // namespace ovid::distributed
