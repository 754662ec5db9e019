#pragma once
// Checks and counters of one launch behind the Observer interface: what all workers share, and what
// one of them sees.

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/checks/global_races.h"
#include "tests/ptx_emulator/machine/checks/initialisation.h"
#include "tests/ptx_emulator/machine/checks/launch_counts.h"
#include "tests/ptx_emulator/machine/checks/op_index.h"
#include "tests/ptx_emulator/machine/checks/shared_races.h"
#include "tests/ptx_emulator/machine/observer.h"

namespace ptx_emulator::checks {

// Bytes of device memory that were never written; nullptr where nobody asked for the check.
UninitialisedBytes* fresh_bytes();

class LaunchObservation final : public Observation {
 public:
  LaunchObservation(const Launch& launch, const MachineOptions& options)
      : launch_(launch), options_(options), index_(*launch.program), counts_(index_.num_ops()) {}

  std::unique_ptr<Observer> make_observer() override;
  void finish(LaunchResult& result) override;

  // Keeps a finding, unless the same pair of instructions was reported before in this launch.
  void report(FaultKind kind, const Warp& warp, const Op* op, std::uint32_t lane, const Op* other,
              std::string message);

  const OpIndex& index() const { return index_; }
  const MachineOptions& options() const { return options_; }
  GlobalRaces& global_races() { return global_races_; }
  void take(const WorkerCounts& counts) {
    const std::lock_guard lock(mutex_);
    counts.add_to(counts_, read_, written_);
  }

 private:
  const Launch& launch_;
  const MachineOptions& options_;
  OpIndex index_;
  std::mutex mutex_;
  std::vector<OpCount> counts_;
  SectorSet read_, written_;
  GlobalRaces global_races_;
  std::set<std::pair<const Op*, const Op*>> reported_;
  std::vector<Fault> reports_;
};

class LaunchObserver final : public Observer {
 public:
  explicit LaunchObserver(LaunchObservation& owner)
      : owner_(owner), checks_(owner.options().checks), counts_(owner.index()) {}
  ~LaunchObserver() override {
    if (owner_.options().counters) owner_.take(counts_);
  }

  void block_begin(Block& block, std::uint64_t linear_index, std::uint32_t num_warps,
                   std::uint32_t shared_bytes) override;
  void block_end(Block& block) override;
  void execute(Warp&, const Op* op, std::uint32_t lanes) override {
    if (owner_.options().counters) counts_.execute(op, lanes);
  }
  void branch(Warp&, const Op* op, std::uint32_t taken, std::uint32_t not_taken) override {
    if (owner_.options().counters) counts_.branch(op, taken, not_taken);
  }
  void access(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
              const std::uint64_t* addresses) override;
  void access_range(Warp& warp, const Op* op, AccessSpace space, AccessKind kind,
                    std::uint64_t address, std::uint64_t bytes) override;
  void async_delivered(Warp& warp, std::uint64_t address, std::uint64_t bytes) override;
  void release(Warp& warp, std::uint32_t lanes, std::uint64_t object) override;
  void acquire(Warp& warp, std::uint32_t lanes, std::uint64_t object) override;
  void warp_sync(Warp& warp, std::uint32_t lanes) override;
  void fence(Warp& warp, std::uint32_t lanes) override;
  void synchronise(Warp& warp, const Op* op, std::uint64_t address, AccessSpace space, bool reads,
                   bool writes, bool acquires, bool releases) override;
  void matrix_product(Warp&, const Op* op, std::uint64_t flops) override {
    if (owner_.options().counters) counts_.matrix_product(op, flops);
  }

 private:
  // What is known of the shared memory of a cluster (of one block, mostly).
  struct ClusterState {
    std::unique_ptr<SharedRaces> races;
    std::vector<std::unique_ptr<UninitialisedShared>> fresh;  // by rank
    // Destinations of cp.async that nobody has waited for, and the op that issued it: by address as
    // rank_of() takes it.
    std::unordered_map<std::uint64_t, const Op*> pending;
    std::uint32_t live_blocks = 0;
    std::uint32_t warps_per_block = 0;
  };

  ClusterState& state(const Block& block) {
    if (last_cluster_ != block.cluster) {
      last_cluster_ = block.cluster;
      last_state_ = &clusters_[block.cluster];
    }
    return *last_state_;
  }
  std::uint32_t agent(const Warp& warp) {
    return warp.block->rank * state(*warp.block).warps_per_block + warp.index;
  }
  static std::uint32_t rank_of(const Warp& warp, std::uint64_t address) {
    const auto rank = static_cast<std::uint32_t>(address >> kClusterRankShift) & 0xFF;
    return rank == 0 ? warp.block->rank : rank - 1;
  }
  void check_pending(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lane,
                     ClusterState& cluster, std::uint32_t rank, std::uint32_t offset);
  void check_shared(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lane,
                    std::uint64_t address);
  void check_global(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lane,
                    std::uint64_t address);
  // Races between warps of the block, of all lanes at once.
  void check_within_block(Warp& warp, const Op* op, const AccessForm& form, std::uint32_t lanes,
                          const std::uint64_t* addresses);

  LaunchObservation& owner_;
  const Checks& checks_;
  WorkerCounts counts_;
  std::unordered_map<const Cluster*, ClusterState> clusters_;
  const Cluster* last_cluster_ = nullptr;
  ClusterState* last_state_ = nullptr;
};

}  // namespace ptx_emulator::checks
