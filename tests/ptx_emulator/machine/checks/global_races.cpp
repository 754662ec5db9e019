#include "tests/ptx_emulator/machine/checks/global_races.h"

namespace ptx_emulator::checks {

std::optional<GlobalRaces::Earlier> GlobalRaces::check(const Access& access, const Agent& agent,
                                                       const Cell& cell) const {
  const bool writes = access.kind != AccessKind::kRead && access.kind != AccessKind::kAsyncRead;
  if (cell.write_block != kNobody && !(access.kind == AccessKind::kAtomic && cell.write_atomic) &&
      !(access.strong && cell.write_strong) &&
      !ordered(agent, access.block, cell.write_block, cell.write_step)) {
    return Earlier{cell.write_op, cell.write_block, true};
  }
  if (!writes || (access.strong && cell.read_strong)) return std::nullopt;
  if (cell.read_block != kNobody &&
      !ordered(agent, access.block, cell.read_block, cell.read_step)) {
    return Earlier{cell.read_op, cell.read_block, false};
  }
  if (cell.other_block != kNobody &&
      !ordered(agent, access.block, cell.other_block, cell.other_step)) {
    return Earlier{cell.read_op, cell.other_block, false};
  }
  return std::nullopt;
}

void GlobalRaces::note(const Access& access, const Agent& agent, Cell& cell) {
  const auto block = static_cast<std::uint32_t>(access.block);
  if (access.kind == AccessKind::kRead || access.kind == AccessKind::kAsyncRead) {
    if (cell.read_block != kNobody && cell.read_block != block) {
      cell.other_block = cell.read_block;
      cell.other_step = cell.read_step;
    }
    cell.read_strong = access.strong && (cell.read_block == kNobody || cell.read_strong);
    cell.read_block = block;
    cell.read_step = agent.step;
    cell.read_op = access.op;
    return;
  }
  cell.read_block = cell.other_block = kNobody;
  cell.write_block = block;
  cell.write_step = agent.step;
  cell.write_op = access.op;
  cell.write_strong = access.strong;
  cell.write_atomic = access.kind == AccessKind::kAtomic;
}

std::optional<GlobalRaces::Earlier> GlobalRaces::access(const Access& access) {
  const Agent& agent = agents_[access.block];
  std::optional<Earlier> race;
  cells_.for_each(access.address, access.bytes, granule_of(access.address, access.bytes),
                  [&](Cell& cell, std::uint64_t) {
                    if (!race) race = check(access, agent, cell);
                    note(access, agent, cell);
                  });
  return race;
}

// All that the block has done and knows, as what others learn of it; what it does from now on is a
// new step.
SparseClock GlobalRaces::snapshot(std::uint64_t block, Agent& agent) {
  SparseClock clock = agent.known;
  clock.raise(block, agent.step);
  ++agent.step;
  return clock;
}

void GlobalRaces::release(std::uint64_t block, std::uint64_t object) {
  objects_[object].join(snapshot(block, agents_[block]));
}

void GlobalRaces::acquire(std::uint64_t block, std::uint64_t object) {
  const auto found = objects_.find(object);
  if (found != objects_.end()) agents_[block].known.join(found->second);
}

void GlobalRaces::fence(std::uint64_t block) {
  Agent& agent = agents_[block];
  agent.known.join(agent.seen_by_relaxed);
  agent.at_fence = snapshot(block, agent);
  agent.fenced = true;
}

void GlobalRaces::synchronise(std::uint64_t block, std::uint64_t address, bool reads, bool writes,
                              bool acquires, bool releases) {
  Agent& agent = agents_[block];
  if (reads) {
    const auto found = addresses_.find(address);
    if (found != addresses_.end()) {
      agent.seen_by_relaxed.join(found->second);
      if (acquires) agent.known.join(found->second);
    }
  }
  if (!writes) return;
  if (releases) {
    addresses_[address].join(snapshot(block, agent));
  } else if (agent.fenced) {
    addresses_[address].join(agent.at_fence);
  }
}

}  // namespace ptx_emulator::checks
