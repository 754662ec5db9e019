#include "tests/ptx_emulator/machine/checks/shared_races.h"

#include <algorithm>

namespace ptx_emulator::checks {

namespace {

// What the cells of global memory may take: some 100 MB.
constexpr std::size_t kMostGlobalCells = std::size_t{2} << 20;

bool is_write(AccessKind kind) {
  return kind == AccessKind::kWrite || kind == AccessKind::kAsyncWrite ||
         kind == AccessKind::kAtomic;
}

}  // namespace

SharedRaces::Cell& SharedRaces::Cell::operator=(const Cell& other) {
  if (this == &other) return *this;
  write_op = other.write_op;
  read_op = other.read_op;
  write_step = other.write_step;
  read_step = other.read_step;
  write_agent = other.write_agent;
  read_agent = other.read_agent;
  write_lane = other.write_lane;
  read_lane = other.read_lane;
  write_strong = other.write_strong;
  write_atomic = other.write_atomic;
  read_strong = other.read_strong;
  readers = other.readers ? std::make_unique<std::vector<Reader>>(*other.readers) : nullptr;
  return *this;
}

SharedRaces::SharedRaces(std::uint32_t num_blocks, std::uint32_t warps_per_block,
                         std::uint32_t shared_bytes)
    : shared_bytes_(shared_bytes) {
  const std::size_t num_agents = std::size_t{num_blocks} * warps_per_block;
  agents_.resize(num_agents);
  for (std::size_t i = 0; i < num_agents; ++i) {
    agents_[i].now = VectorClock(num_agents);
    agents_[i].now.advance(i);  // step 0 means "never"
  }
}

// Whether the earlier access, by `other` at `step`, happened before this one.
bool SharedRaces::ordered(const Agent& agent, const Part& part, std::uint16_t other,
                          std::uint32_t step, std::uint32_t lane, const Op* op) const {
  if (other != part.agent) return agent.now.covers(other, step);
  if (lane == part.lane || !part.judge_lanes) return true;
  // Lanes of one warp: ordered by a __syncwarp() in between (each begins a new step). Two lanes in
  // one instruction are not judged: programs let all lanes write one value.
  return op == part.op || step < agent.now.step(other);
}

std::optional<EarlierAccess> SharedRaces::check_write(const Part& part, const Cell& cell) const {
  if (cell.write_agent == kNobody) return std::nullopt;
  if (part.kind == AccessKind::kAtomic && cell.write_atomic) return std::nullopt;
  if (part.strong && cell.write_strong) return std::nullopt;
  if (ordered(agents_[part.agent], part, cell.write_agent, cell.write_step, cell.write_lane,
              cell.write_op)) {
    return std::nullopt;
  }
  return EarlierAccess{.op = cell.write_op,
                       .agent = cell.write_agent,
                       .lane = cell.write_lane,
                       .is_write = true,
                       .same_warp = cell.write_agent == part.agent};
}

std::optional<EarlierAccess> SharedRaces::check_readers(const Part& part, const Cell& cell) const {
  const Agent& agent = agents_[part.agent];
  const auto conflict = [&](const Reader& reader) {
    return !ordered(agent, part, reader.agent, reader.step, reader.lane, reader.op);
  };
  const auto found = [&](const Reader& reader) {
    return EarlierAccess{.op = reader.op,
                         .agent = reader.agent,
                         .lane = reader.lane,
                         .is_write = false,
                         .same_warp = reader.agent == part.agent};
  };
  if (cell.read_agent == kNobody || (part.strong && cell.read_strong)) return std::nullopt;
  if (cell.read_agent != kSeveral) {
    const Reader reader{cell.read_step, cell.read_agent, cell.read_lane, cell.read_op};
    return conflict(reader) ? std::optional(found(reader)) : std::nullopt;
  }
  for (const Reader& reader : *cell.readers) {
    if (conflict(reader)) return found(reader);
  }
  return std::nullopt;
}

void SharedRaces::note_write(const Part& part, Cell& cell) {
  cell.readers.reset();
  cell.read_agent = kNobody;
  const std::uint32_t step = agents_[part.agent].now.step(part.agent);
  const bool continues =
      cell.write_agent == part.agent && cell.write_step == step && cell.write_op == part.op;
  cell.write_lane =
      continues && cell.write_lane != part.lane ? kManyLanes : static_cast<std::uint8_t>(part.lane);
  cell.write_agent = static_cast<std::uint16_t>(part.agent);
  cell.write_step = step;
  cell.write_op = part.op;
  cell.write_strong = part.strong;
  cell.write_atomic = part.kind == AccessKind::kAtomic;
}

void SharedRaces::note_read(const Part& part, Cell& cell) {
  const Agent& agent = agents_[part.agent];
  const std::uint32_t step = agent.now.step(part.agent);
  const auto lane = static_cast<std::uint8_t>(part.lane);
  const auto self = static_cast<std::uint16_t>(part.agent);
  const bool alone = cell.read_agent == kNobody;
  if (alone || (cell.read_agent != kSeveral && cell.read_agent != self &&
                agent.now.covers(cell.read_agent, cell.read_step))) {
    cell.read_agent = self;
    cell.read_step = step;
    cell.read_lane = lane;
    cell.read_op = part.op;
    cell.read_strong = part.strong;
    return;
  }
  cell.read_strong = cell.read_strong && part.strong;
  if (cell.read_agent == self) {
    cell.read_lane = cell.read_step == step && cell.read_lane != lane ? kManyLanes : lane;
    cell.read_step = step;
    cell.read_op = part.op;
    return;
  }
  if (cell.read_agent != kSeveral) {
    cell.readers = std::make_unique<std::vector<Reader>>(
        1, Reader{cell.read_step, cell.read_agent, cell.read_lane, cell.read_op});
    cell.read_agent = kSeveral;
  }
  for (Reader& reader : *cell.readers) {
    if (reader.agent != self) continue;
    reader.lane = reader.step == step && reader.lane != lane ? kManyLanes : lane;
    reader.step = step;
    reader.op = part.op;
    return;
  }
  cell.readers->push_back({step, self, lane, part.op});
}

std::optional<EarlierAccess> SharedRaces::touch(CellMap<Cell>& cells, const Part& part,
                                                std::uint64_t address, std::uint64_t bytes,
                                                std::uint32_t granule) {
  std::optional<EarlierAccess> race;
  const bool writes = is_write(part.kind);
  cells.for_each(address, bytes, granule, [&](Cell& cell, std::uint64_t at) {
    if (!race) {
      race = check_write(part, cell);
      if (!race && writes) race = check_readers(part, cell);
      if (race) race->address = at;
    }
    if (writes) {
      note_write(part, cell);
    } else {
      note_read(part, cell);
    }
  });
  return race;
}

std::optional<EarlierAccess> SharedRaces::access(const Access& access) {
  if (access.offset >= shared_bytes_) return std::nullopt;
  const std::uint32_t bytes = std::min(access.bytes, shared_bytes_ - access.offset);
  const Part part{access.agent, access.lane, access.op, access.kind, access.strong, true};
  auto race = touch(shared_, part, std::uint64_t{access.rank} << 32 | access.offset, bytes,
                    granule_of(access.offset, bytes));
  if (race) race->address &= 0xFFFFFFFFu;
  return race;
}

std::optional<EarlierAccess> SharedRaces::access_global(const GlobalAccess& access) {
  if (global_.num_cells() > kMostGlobalCells) global_.clear();
  return touch(global_, {access.agent, 0, access.op, access.kind, access.strong, false},
               access.address, access.bytes, access.granule);
}

void SharedRaces::forget(std::uint32_t rank, std::uint32_t offset, std::uint32_t bytes) {
  shared_.forget(std::uint64_t{rank} << 32 | offset, bytes);
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
