#include <algorithm>
#include <atomic>

#include "tests/ptx_emulator/machine/checks/launch_observation.h"

namespace ptx_emulator {
namespace checks {
namespace {

std::atomic<UninitialisedBytes*> watched_bytes{nullptr};

}  // namespace

UninitialisedBytes* fresh_bytes() {
  return watched_bytes.load(std::memory_order_acquire);
}

std::unique_ptr<Observer> LaunchObservation::make_observer() {
  return std::make_unique<LaunchObserver>(*this);
}

void LaunchObservation::report(FaultKind kind, const Warp& warp, const Op* op, std::uint32_t lane,
                               const Op* other, std::string message) {
  const std::lock_guard lock(mutex_);
  if (reports_.size() >= options_.max_faults || !reported_.emplace(op, other).second) return;
  const OpIndex::Entry entry = index_.find(op);
  const ptx::Instruction& instruction = index_.instruction(entry);
  Fault fault{.kind = kind, .message = std::move(message)};
  fault.kernel = launch_.kernel->demangled;
  const Grid& grid = *warp.block->grid;
  const std::uint32_t thread = std::min(warp.thread(lane), grid.threads_per_block - 1);
  for (int i = 0; i < 3; ++i) {
    fault.block[i] = warp.block->index[i];
    fault.thread[i] = grid.thread_index[i][thread];
  }
  fault.instruction = instruction.full_name();
  fault.ptx_line = instruction.location.line;
  fault.source = index_.source_chain(entry);
  reports_.push_back(std::move(fault));
}

void LaunchObservation::finish(LaunchResult& result) {
  result.reports.insert(result.reports.end(), reports_.begin(), reports_.end());
  if (!options_.counters) return;
  result.counters = make_counters(launch_, options_, index_, counts_, read_, written_);
  result.counters->seconds = result.seconds;
}

}  // namespace checks

std::unique_ptr<Observation> observe(const Launch& launch, const MachineOptions& options,
                                     DeviceMemory&) {
  const Checks& checks = options.checks;
  if (!options.counters && !checks.shared_races && !checks.global_races && !checks.uninitialised)
    return nullptr;
  return std::make_unique<checks::LaunchObservation>(launch, options);
}

bool needs_single_worker(const MachineOptions& options) {
  return options.checks.global_races;
}

void watch_initialisation() {
  static checks::UninitialisedBytes bytes;
  checks::watched_bytes.store(&bytes, std::memory_order_release);
}

void note_initialised(DeviceMemory&, std::uint64_t address, std::uint64_t bytes) {
  if (checks::UninitialisedBytes* fresh = checks::fresh_bytes())
    fresh->mark_written(address, bytes);
}

void note_uninitialised(DeviceMemory&, std::uint64_t address, std::uint64_t bytes) {
  if (checks::UninitialisedBytes* fresh = checks::fresh_bytes()) fresh->mark_fresh(address, bytes);
}

}  // namespace ptx_emulator
