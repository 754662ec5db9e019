#include "src/training/canonical_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "src/data/batch_share.h"

namespace ovid::training {
namespace {

// The largest power of two that divides `position`, and of these one that is not above `most`.
std::int64_t largest_count(std::int64_t position, std::int64_t most) {
  const auto fitting = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(most)));
  if (position == 0) return fitting;
  return std::min(position & -position, fitting);
}

bool are_halves(const TreeNode& left, const TreeNode& right) {
  return left.count == right.count && left.first % (2 * left.count) == 0;
}

}  // namespace

std::vector<TreeNode> maximal_nodes(std::int64_t begin, std::int64_t end) {
  std::vector<TreeNode> nodes;
  for (std::int64_t first = begin; first < end; first += nodes.back().count) {
    nodes.push_back({.first = first, .count = largest_count(first, end - first)});
  }
  return nodes;
}

TreeStack::Push TreeStack::push(const TreeNode& node) {
  if (!nodes_.empty() && node.first != nodes_.back().first + nodes_.back().count) {
    throw std::logic_error(fmt::format("the canonical tree got sequence {} after {}", node.first,
                                       nodes_.back().first + nodes_.back().count - 1));
  }
  Push push{.buffer = height(), .merges = {}};
  nodes_.push_back(node);
  while (nodes_.size() > 1 && are_halves(nodes_[nodes_.size() - 2], nodes_.back())) {
    push.merges.push_back(merge_top());
  }
  return push;
}

TreeMerge TreeStack::merge_top() {
  const TreeNode right = nodes_.back();
  nodes_.pop_back();
  nodes_.back().count += right.count;
  return {.into = height() - 1, .from = height()};
}

std::vector<TreeMerge> TreeStack::finish(std::int64_t sequences) {
  if (nodes_.empty() || nodes_.front().first != 0 ||
      nodes_.back().first + nodes_.back().count != sequences) {
    throw std::logic_error(
        fmt::format("the canonical tree did not get all of {} sequences", sequences));
  }
  std::vector<TreeMerge> merges;
  while (nodes_.size() > 1) merges.push_back(merge_top());
  return merges;
}

std::vector<HeldNode> nodes_of_run(std::int64_t sequences, int ranks) {
  std::vector<HeldNode> held;
  for (int rank = 0; rank < ranks; ++rank) {
    const data::BatchShare share = data::share_of_batch(sequences, rank, ranks);
    int buffer = 0;
    for (const TreeNode& node : maximal_nodes(share.first, share.first + share.count)) {
      held.push_back({.node = node, .rank = rank, .buffer = buffer++});
    }
  }
  return held;
}

int buffers_of_range(std::int64_t begin, std::int64_t end) {
  int most = 0;
  int below = 0;
  for (const TreeNode& node : maximal_nodes(begin, end)) {
    // Just before its last sequence a node of 2^k lies there as halves, quarters, ... and that
    // sequence comes on top.
    const int levels = std::countr_zero(static_cast<std::uint64_t>(node.count));
    most = std::max(most, below + levels + 1);
    ++below;
  }
  return most;
}

int buffers_of_run(std::int64_t sequences, int ranks) {
  TreeStack stack;
  int most = 0;
  for (const HeldNode& held : nodes_of_run(sequences, ranks)) {
    most = std::max(most, stack.push(held.node).buffer + 1);
  }
  return most;
}

}  // namespace ovid::training
