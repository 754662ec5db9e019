#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/view.h"
#include "src/config/run_config.h"
#include "src/core/file.h"
#include "src/distributed/communicator.h"
#include "src/distributed/fault_injector.h"
#include "src/distributed/straggler_score.h"
#include "src/distributed/watchdog.h"
#include "src/distributed/weight_hash.h"

namespace ovid::training {

// Everything that watches the ranks of a run, as the config says: watchdog, stragglers, comparison
// of weights; and the faults that OVID_FAULTS injects. Of a run of one rank only the faults are
// left.
class RankWatch {
 public:
  // To be made on the training thread, in Section::kSetup. `communicator` must outlive it.
  RankWatch(distributed::Communicator& communicator, const config::RunConfig& config,
            const Path& run_directory);

  // All ranks enter the same sections in the same order, each step included; injected faults strike
  // here.
  void enter(distributed::Section section, std::int64_t step);
  // The end of an evaluation, checkpoint or sample, on all ranks: those that had nothing to do wait
  // for those that had, so that the time is the section's.
  void leave(distributed::Section section, std::int64_t step);

  // Injected damage to this rank's float32 weights in the host's memory, before a step's gradients.
  void corrupt(std::span<const kernels::View> weights, std::int64_t step) const;

  // After a step, on every rank: what each rank computed itself, without waiting, in seconds a
  // sequence. Returns what is to be told of stragglers; the same on all ranks.
  std::vector<std::string> note_times(std::int64_t step, std::span<const double> seconds);
  // Of the ranks; null where the run has one, or the limit is 0.
  const distributed::StragglerScores* scores() const { return scores_ ? &*scores_ : nullptr; }

  // Whether the weights are to be compared after `step` steps. Before a checkpoint they are as
  // well, so that every checkpoint that is saved was compared.
  bool compares_at(std::int64_t step) const;
  // Collective. Throws WeightsDifferError.
  void compare(const distributed::ReplicatedTensors& weights, std::int64_t step);

  // What ended this rank: dumps its last collectives.
  void note_failure(std::string_view reason) noexcept;

 private:
  bool has_others() const { return communicator_.count() > 1; }

  distributed::Communicator& communicator_;
  distributed::FaultInjector faults_;
  std::int64_t hash_every_steps_;
  std::int64_t compared_ = -1;  // the last step whose weights agreed
  std::optional<distributed::StragglerScores> scores_;
  std::optional<distributed::Watchdog> watchdog_;
};

}  // namespace ovid::training
