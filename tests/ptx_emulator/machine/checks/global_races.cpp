#include "tests/ptx_emulator/machine/checks/global_races.h"

#include <algorithm>

namespace ptx_emulator::checks {

std::optional<GlobalRaces::Earlier> GlobalRaces::check(const Access& access, const Agent& agent,
                                                       const Cell& cell, std::uint8_t mask) const {
  const bool writes = access.kind != AccessKind::kRead && access.kind != AccessKind::kAsyncRead;
  if (cell.write_block != kNobody && (cell.write_mask & mask) != 0 &&
      !(access.kind == AccessKind::kAtomic && cell.write_atomic) &&
      !(access.strong && cell.write_strong) &&
      !ordered(agent, access.block, cell.write_block, cell.write_step)) {
    return Earlier{cell.write_op, cell.write_block, true};
  }
  if (!writes || (cell.read_mask & mask) == 0 || (access.strong && cell.read_strong))
    return std::nullopt;
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

void GlobalRaces::note(const Access& access, const Agent& agent, Cell& cell, std::uint8_t mask) {
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
    cell.read_mask |= mask;
    return;
  }
  cell.read_block = cell.other_block = kNobody;
  cell.read_mask = 0;
  const bool continues = cell.write_block == block && cell.write_step == agent.step;
  cell.write_mask = static_cast<std::uint8_t>(continues ? cell.write_mask | mask : mask);
  cell.write_block = block;
  cell.write_step = agent.step;
  cell.write_op = access.op;
  cell.write_strong = access.strong;
  cell.write_atomic = access.kind == AccessKind::kAtomic;
}

std::optional<GlobalRaces::Earlier> GlobalRaces::access(const Access& access) {
  const Agent& agent = agents_[access.block];
  std::optional<Earlier> race;
  const std::uint64_t end = access.address + access.bytes;
  for (std::uint64_t begin = access.address; begin < end;) {
    std::unique_ptr<Page>& page = pages_[begin / kPageBytes];
    if (!page) page = std::make_unique<Page>();
    const std::uint64_t page_end = std::min(end, (begin / kPageBytes + 1) * kPageBytes);
    while (begin < page_end) {
      const auto first = static_cast<std::uint32_t>(begin % kCellBytes);
      const auto last = static_cast<std::uint32_t>(
          std::min<std::uint64_t>(kCellBytes, first + (page_end - begin)));
      const auto mask = static_cast<std::uint8_t>(((1U << last) - 1) & ~((1U << first) - 1));
      Cell& cell = page->cells[begin % kPageBytes / kCellBytes];
      if (!race) race = check(access, agent, cell, mask);
      note(access, agent, cell, mask);
      begin += last - first;
    }
  }
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
