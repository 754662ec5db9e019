#pragma once

#include <cstdint>
#include <vector>

// In which order the gradients of a step's sequences are added where the result must not depend on
// how the sequences are spread over ranks: by one binary tree over their index in the global batch.
// A node is 2^k sequences whose first index is a multiple of 2^k; it is left half + right half.
// Where the batch is no power of two, some nodes remain at the end; they are folded from the right:
// (a, b, c) is a + (b + c). Only the order is decided here; who calls adds.
namespace ovid::training {

// Sequences [first, first + count) of the global batch; count is a power of two that divides first.
struct TreeNode {
  std::int64_t first = 0;
  std::int64_t count = 1;

  bool operator==(const TreeNode&) const = default;
};

// The largest nodes that make up the sequences [begin, end), in order: at most 2 log2(end - begin)
// and two. Needs 0 <= begin <= end <= 2^40.
std::vector<TreeNode> maximal_nodes(std::int64_t begin, std::int64_t end);

// buffer[into] += buffer[from]: into holds the left part, from the right one, and is free then.
struct TreeMerge {
  int into = 0;
  int from = 0;

  bool operator==(const TreeMerge&) const = default;
};

// Adds nodes that come in order, each beginning where the one before ended, and keeps as few sums
// as the tree allows: in buffers numbered from 0, the oldest first. The first node may begin
// anywhere; what remains after the last one are the maximal nodes of the whole range, in the
// buffers 0, 1, 2, ...
class TreeStack {
 public:
  struct Push {
    int buffer = 0;                 // that the node is to be written to (not added)
    std::vector<TreeMerge> merges;  // to be done then, in this order
  };
  // Throws std::logic_error where the node does not follow the one before.
  Push push(const TreeNode& node);
  Push push_sequence(std::int64_t index) { return push({.first = index, .count = 1}); }

  // What is left to add once the nodes of a whole batch of `sequences` were pushed; the sum is in
  // buffer 0 then. Throws std::logic_error where they are not all there.
  std::vector<TreeMerge> finish(std::int64_t sequences);

  const std::vector<TreeNode>& nodes() const { return nodes_; }  // of the buffers
  int height() const { return static_cast<int>(nodes_.size()); }

 private:
  TreeMerge merge_top();
  std::vector<TreeNode> nodes_;
};

// A maximal node of a rank's share of the batch, and the buffer of the rank's TreeStack in which it
// ends.
struct HeldNode {
  TreeNode node;
  int rank = 0;
  int buffer = 0;
};

// Those of all ranks (data::share_of_batch), in the order of the batch: what is exchanged, and what
// whoever adds them up pushes. Needs 1 <= ranks.
std::vector<HeldNode> nodes_of_run(std::int64_t sequences, int ranks);

// How many buffers are needed at once: by the rank that pushes the sequences [begin, end) one by
// one, and by who pushes nodes_of_run(sequences, ranks).
int buffers_of_range(std::int64_t begin, std::int64_t end);
int buffers_of_run(std::int64_t sequences, int ranks);

}  // namespace ovid::training
