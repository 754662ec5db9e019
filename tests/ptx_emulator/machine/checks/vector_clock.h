#pragma once
// Time as seen by several agents that run at once: which steps of the others happened before now.

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace ptx_emulator::checks {

// One component for each of a fixed, small number of agents (the warps of a block or cluster).
class VectorClock {
 public:
  VectorClock() = default;
  explicit VectorClock(std::size_t num_agents) : steps_(num_agents, 0) {}

  std::uint32_t step(std::size_t agent) const { return agent < steps_.size() ? steps_[agent] : 0; }
  void advance(std::size_t agent) { ++steps_[agent]; }
  // Step `step` of `agent` happened before now.
  bool covers(std::size_t agent, std::uint32_t step) const { return steps_[agent] >= step; }
  void join(const VectorClock& other) {
    if (steps_.size() < other.steps_.size()) steps_.resize(other.steps_.size(), 0);
    for (std::size_t i = 0; i < other.steps_.size(); ++i)
      steps_[i] = std::max(steps_[i], other.steps_[i]);
  }
  bool empty() const { return steps_.empty(); }

 private:
  std::vector<std::uint32_t> steps_;
};

// The same for a great number of agents of which each knows few (the blocks of a grid).
class SparseClock {
 public:
  bool covers(std::uint64_t agent, std::uint32_t step) const {
    const auto found = steps_.find(agent);
    return found != steps_.end() && found->second >= step;
  }
  void raise(std::uint64_t agent, std::uint32_t step) {
    std::uint32_t& mine = steps_[agent];
    mine = std::max(mine, step);
  }
  void join(const SparseClock& other) {
    for (const auto& [agent, step] : other.steps_) raise(agent, step);
  }

 private:
  std::unordered_map<std::uint64_t, std::uint32_t> steps_;
};

}  // namespace ptx_emulator::checks
