#pragma once
// The counters of one launch while it runs: a table for each worker, added up at the end.

#include <memory>
#include <vector>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/checks/access_counts.h"
#include "tests/ptx_emulator/machine/checks/op_index.h"
#include "tests/ptx_emulator/machine/counters.h"
#include "tests/ptx_emulator/machine/launch.h"

namespace ptx_emulator::checks {

// Of one worker.
class WorkerCounts {
 public:
  explicit WorkerCounts(const OpIndex& index) : index_(index), counts_(index.num_ops()) {}

  void execute(const Op* op, std::uint32_t lanes);
  void branch(const Op* op, std::uint32_t taken, std::uint32_t not_taken);
  void access(const Op* op, const AccessForm& form, AccessSpace space, std::uint32_t lanes,
              const std::uint64_t* addresses);
  void access_range(const Op* op, AccessSpace space, AccessKind kind, std::uint64_t address,
                    std::uint64_t bytes);
  void matrix_product(const Op* op, std::uint64_t flops) { of(op).matrix_flops += flops; }
  void add_to(std::vector<OpCount>& counts, SectorSet& read, SectorSet& written) const;

 private:
  OpCount& of(const Op* op);

  const OpIndex& index_;
  std::vector<OpCount> counts_;
  SectorSet read_, written_;
  const Op* last_begin_ = nullptr;  // ops of the function seen last
  const Op* last_end_ = nullptr;
  std::size_t last_first_ = 0;
};

// The sum, as the public record.
std::shared_ptr<Counters> make_counters(const Launch& launch, const MachineOptions& options,
                                        const OpIndex& index, const std::vector<OpCount>& counts,
                                        const SectorSet& read, const SectorSet& written);

}  // namespace ptx_emulator::checks
