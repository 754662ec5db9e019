#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/view.h"
#include "src/core/error.h"
#include "src/distributed/communicator.h"

namespace ovid::kernels::cuda {
class Device;
}

namespace ovid::distributed {

// Ranks hold different weights where they should hold the same.
struct WeightsDifferError : Error {
  explicit WeightsDifferError(const std::string& message) : Error(ExitCode::kResources, message) {}
};

// Tensors that every rank must hold with the same bits, in one order on all ranks.
struct ReplicatedTensors {
  std::vector<kernels::ConstView> views;
  std::vector<std::string> names;           // of the views
  kernels::cuda::Device* device = nullptr;  // whose memory they lie in; null: the host's
};

// XXH3, 64 bits, of each tensor's elements (not of what pads its rows).
std::vector<std::uint64_t> hash_tensors(const ReplicatedTensors& tensors);

// Hashes the tensors of all ranks and compares; collective. The cost on a host is a read of the
// tensors. Where a rank's differ, throws WeightsDifferError on every rank: it names rank, first
// tensor, step and the last step whose hashes agreed (`last_clean`, below 0: none), and whether
// hashing again gave the same (the memory holds wrong bits) or not (it does not read the same
// twice). By majority; with two ranks, or a tie, it cannot say which is right, and says so.
void check_weight_hashes(Communicator& communicator, const ReplicatedTensors& tensors,
                         std::int64_t step, std::int64_t last_clean);

// The ranks that are not of the majority; every rank where none has one; empty where all agree.
std::vector<int> minority(std::span<const std::uint64_t> hashes);

}  // namespace ovid::distributed
