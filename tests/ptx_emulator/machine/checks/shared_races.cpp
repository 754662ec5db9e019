#include "tests/ptx_emulator/machine/checks/shared_races.h"

#include <algorithm>

namespace ptx_emulator::checks {

namespace {

constexpr std::uint32_t kCellBytes = 2;

bool is_write(AccessKind kind) {
  return kind == AccessKind::kWrite || kind == AccessKind::kAsyncWrite;
}

}  // namespace

SharedRaces::SharedRaces(std::uint32_t num_blocks, std::uint32_t warps_per_block,
                         std::uint32_t shared_bytes)
    : cells_per_block_((shared_bytes + kCellBytes - 1) / kCellBytes) {
  const std::size_t num_agents = std::size_t{num_blocks} * warps_per_block;
  cells_.resize(std::size_t{num_blocks} * cells_per_block_);
  agents_.resize(num_agents);
  for (std::size_t i = 0; i < num_agents; ++i) {
    agents_[i].now = VectorClock(num_agents);
    agents_[i].now.advance(i);  // step 0 means "never"
  }
}

// Whether the earlier access, by `other` at `step`, happened before this one.
bool SharedRaces::ordered(const Agent& agent, const Access& access, std::uint16_t other,
                          std::uint32_t step, std::uint32_t lane, const Op* op) const {
  if (other != access.agent) return agent.now.covers(other, step);
  if (lane == access.lane) return true;
  // Lanes of one warp: ordered by a __syncwarp() in between (each begins a new step). Two lanes in
  // one instruction are not judged: programs let all lanes write one value.
  return op == access.op || step < agent.now.step(other);
}

std::optional<EarlierAccess> SharedRaces::check_write(const Access& access, const Cell& cell,
                                                      std::uint8_t mask) const {
  if (cell.write_agent == kNobody || (cell.write_mask & mask) == 0) return std::nullopt;
  if (access.kind == AccessKind::kAtomic && cell.write_atomic) return std::nullopt;
  if (access.strong && cell.write_strong) return std::nullopt;
  if (ordered(agents_[access.agent], access, cell.write_agent, cell.write_step, cell.write_lane,
              cell.write_op)) {
    return std::nullopt;
  }
  return EarlierAccess{.op = cell.write_op,
                       .agent = cell.write_agent,
                       .lane = cell.write_lane,
                       .is_write = true,
                       .same_warp = cell.write_agent == access.agent};
}

std::optional<EarlierAccess> SharedRaces::check_readers(const Access& access, const Cell& cell,
                                                        std::uint8_t mask,
                                                        std::size_t index) const {
  const Agent& agent = agents_[access.agent];
  const auto conflict = [&](const Reader& reader) {
    return (reader.mask & mask) != 0 &&
           !ordered(agent, access, reader.agent, reader.step, reader.lane, reader.op);
  };
  const auto found = [&](const Reader& reader) {
    return EarlierAccess{.op = reader.op,
                         .agent = reader.agent,
                         .lane = reader.lane,
                         .is_write = false,
                         .same_warp = reader.agent == access.agent};
  };
  if (cell.read_agent == kNobody || (access.strong && cell.read_strong)) return std::nullopt;
  if (cell.read_agent != kSeveral) {
    const Reader reader{cell.read_step, cell.read_agent, cell.read_lane, cell.read_mask,
                        cell.read_op};
    return conflict(reader) ? std::optional(found(reader)) : std::nullopt;
  }
  for (const Reader& reader : readers_.at(index)) {
    if (conflict(reader)) return found(reader);
  }
  return std::nullopt;
}

void SharedRaces::note_write(const Access& access, Cell& cell, std::uint8_t mask,
                             std::size_t index) {
  if (cell.read_agent == kSeveral) readers_.erase(index);
  cell.read_agent = kNobody;
  cell.read_mask = 0;
  const std::uint32_t step = agents_[access.agent].now.step(access.agent);
  const bool continues =
      cell.write_agent == access.agent && cell.write_step == step && cell.write_op == access.op;
  cell.write_mask = static_cast<std::uint8_t>(continues ? cell.write_mask | mask : mask);
  cell.write_lane = continues && cell.write_lane != access.lane
                        ? kManyLanes
                        : static_cast<std::uint8_t>(access.lane);
  cell.write_agent = static_cast<std::uint16_t>(access.agent);
  cell.write_step = step;
  cell.write_op = access.op;
  cell.write_strong = access.strong;
  cell.write_atomic = access.kind == AccessKind::kAtomic;
}

void SharedRaces::note_read(const Access& access, Cell& cell, std::uint8_t mask,
                            std::size_t index) {
  const Agent& agent = agents_[access.agent];
  const std::uint32_t step = agent.now.step(access.agent);
  const auto lane = static_cast<std::uint8_t>(access.lane);
  const auto self = static_cast<std::uint16_t>(access.agent);
  const bool alone = cell.read_agent == kNobody;
  if (alone || (cell.read_agent != kSeveral && cell.read_agent != self &&
                agent.now.covers(cell.read_agent, cell.read_step))) {
    cell.read_agent = self;
    cell.read_step = step;
    cell.read_lane = lane;
    cell.read_mask = mask;
    cell.read_op = access.op;
    cell.read_strong = access.strong;
    return;
  }
  if (cell.read_agent == self) {
    const bool same_step = cell.read_step == step;
    cell.read_lane = same_step && cell.read_lane != lane ? kManyLanes : lane;
    cell.read_mask = static_cast<std::uint8_t>(same_step ? cell.read_mask | mask : mask);
    cell.read_step = step;
    cell.read_op = access.op;
    cell.read_strong = cell.read_strong && access.strong;
    return;
  }
  std::vector<Reader>& readers = readers_[index];
  if (cell.read_agent != kSeveral) {
    readers.assign(1,
                   {cell.read_step, cell.read_agent, cell.read_lane, cell.read_mask, cell.read_op});
    cell.read_agent = kSeveral;
  }
  cell.read_strong = cell.read_strong && access.strong;
  for (Reader& reader : readers) {
    if (reader.agent != self) continue;
    const bool same_step = reader.step == step;
    reader.lane = same_step && reader.lane != lane ? kManyLanes : lane;
    reader.mask = static_cast<std::uint8_t>(same_step ? reader.mask | mask : mask);
    reader.step = step;
    reader.op = access.op;
    return;
  }
  readers.push_back({step, self, lane, mask, access.op});
}

std::optional<EarlierAccess> SharedRaces::access(const Access& access) {
  std::optional<EarlierAccess> race;
  const std::uint32_t end = access.offset + access.bytes;
  for (std::uint32_t begin = access.offset; begin < end;) {
    const std::uint32_t cell_number = begin / kCellBytes;
    if (cell_number >= cells_per_block_) break;
    const std::uint32_t first = begin % kCellBytes;
    const std::uint32_t last = std::min(kCellBytes, first + (end - begin));
    const auto mask = static_cast<std::uint8_t>(((1U << last) - 1) & ~((1U << first) - 1));
    const std::size_t index = std::size_t{access.rank} * cells_per_block_ + cell_number;
    Cell& cell = cells_[index];
    if (!race) race = check_write(access, cell, mask);
    if (is_write(access.kind) || access.kind == AccessKind::kAtomic) {
      if (!race) race = check_readers(access, cell, mask, index);
      note_write(access, cell, mask, index);
    } else {
      note_read(access, cell, mask, index);
    }
    begin += last - first;
  }
  return race;
}

void SharedRaces::forget(std::uint32_t rank, std::uint32_t offset, std::uint32_t bytes) {
  for (std::uint32_t number = offset / kCellBytes;
       number < std::min(cells_per_block_, (offset + bytes + kCellBytes - 1) / kCellBytes);
       ++number) {
    const std::size_t index = std::size_t{rank} * cells_per_block_ + number;
    readers_.erase(index);
    cells_[index] = Cell{};
  }
}

void SharedRaces::release(std::uint32_t agent, std::uint64_t object) {
  objects_[object].join(agents_[agent].now);
  agents_[agent].now.advance(agent);
}

void SharedRaces::acquire(std::uint32_t agent, std::uint64_t object) {
  const auto found = objects_.find(object);
  if (found != objects_.end()) agents_[agent].now.join(found->second);
}

void SharedRaces::warp_sync(std::uint32_t agent) {
  agents_[agent].now.advance(agent);
}

void SharedRaces::fence(std::uint32_t agent) {
  Agent& self = agents_[agent];
  if (!self.seen_by_relaxed.empty()) self.now.join(self.seen_by_relaxed);
  self.at_fence = self.now;
  self.now.advance(agent);
}

void SharedRaces::synchronise(std::uint32_t agent, std::uint64_t address, bool reads, bool writes,
                              bool acquires, bool releases) {
  Agent& self = agents_[agent];
  if (reads) {
    const auto found = addresses_.find(address);
    if (found != addresses_.end()) {
      self.seen_by_relaxed.join(found->second);
      if (acquires) self.now.join(found->second);
    }
  }
  if (!writes) return;
  if (releases) {
    addresses_[address].join(self.now);
    self.now.advance(agent);
  } else if (!self.at_fence.empty()) {
    addresses_[address].join(self.at_fence);
  }
}

}  // namespace ptx_emulator::checks
