#include "src/training/canonical_tree.h"

#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <string>

#include "src/data/batch_share.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

using Buffers = std::map<int, std::string>;

std::string plus(const std::string& left, const std::string& right) {
  return "(" + left + "+" + right + ")";
}

void merge(Buffers& buffers, const std::vector<TreeMerge>& merges) {
  for (const TreeMerge& m : merges) {
    REQUIRE(buffers.count(m.from) == 1);
    buffers.at(m.into) = plus(buffers.at(m.into), buffers.at(m.from));
    buffers.erase(m.from);
  }
}

// The tree by its definition, without a stack.
std::string node_by_definition(std::int64_t first, std::int64_t count) {
  if (count == 1) return std::to_string(first);
  return plus(node_by_definition(first, count / 2),
              node_by_definition(first + count / 2, count / 2));
}

std::string tree_by_definition(std::int64_t first, std::int64_t sequences) {
  std::int64_t count = 1;
  while (2 * count <= sequences) count *= 2;
  const std::string node = node_by_definition(first, count);
  if (count == sequences) return node;
  return plus(node, tree_by_definition(first + count, sequences - count));
}

// What one rank's buffers hold after its share.
Buffers sums_of_rank(const data::BatchShare& share) {
  TreeStack stack;
  Buffers buffers;
  const int most = buffers_of_range(share.first, share.first + share.count);
  std::size_t used = 0;
  for (std::int64_t i = share.first; i < share.first + share.count; ++i) {
    const TreeStack::Push push = stack.push_sequence(i);
    REQUIRE(buffers.count(push.buffer) == 0);
    buffers[push.buffer] = std::to_string(i);
    used = std::max(used, buffers.size());
    merge(buffers, push.merges);
  }
  CHECK(static_cast<int>(used) == most);
  CHECK(stack.nodes() == maximal_nodes(share.first, share.first + share.count));
  return buffers;
}

std::string sum_of_run(std::int64_t sequences, int ranks) {
  std::vector<Buffers> of_ranks;
  for (int rank = 0; rank < ranks; ++rank) {
    of_ranks.push_back(sums_of_rank(data::share_of_batch(sequences, rank, ranks)));
  }
  TreeStack stack;
  Buffers buffers;
  std::size_t used = 0;
  for (const HeldNode& held : nodes_of_run(sequences, ranks)) {
    const TreeStack::Push push = stack.push(held.node);
    buffers[push.buffer] = of_ranks[static_cast<std::size_t>(held.rank)].at(held.buffer);
    used = std::max(used, buffers.size());
    merge(buffers, push.merges);
  }
  CHECK(static_cast<int>(used) == buffers_of_run(sequences, ranks));
  merge(buffers, stack.finish(sequences));
  REQUIRE(buffers.size() == 1);
  return buffers.at(0);
}

}  // namespace

TEST_CASE("every number of ranks adds the sequences of a batch by the same tree", "[training]") {
  CHECK(tree_by_definition(0, 7) == "(((0+1)+(2+3))+((4+5)+6))");
  for (std::int64_t sequences = 1; sequences <= 40; ++sequences) {
    const std::string expected = tree_by_definition(0, sequences);
    for (int ranks = 1; ranks <= 16; ++ranks) {  // more ranks than sequences are among them
      INFO(fmt::format("{} sequences, {} ranks", sequences, ranks));
      CHECK(sum_of_run(sequences, ranks) == expected);
    }
  }
}

TEST_CASE("the tree of a large batch needs few buffers", "[training]") {
  CHECK(buffers_of_range(0, 512) == 10);
  CHECK(buffers_of_range(0, 1) == 1);
  CHECK(buffers_of_range(5, 5) == 0);
  CHECK(buffers_of_run(512, 1) == 1);
  CHECK(buffers_of_run(512, 8) == 4);
  for (int ranks = 1; ranks <= 1024; ranks *= 3) {
    CHECK(buffers_of_run(std::int64_t{1} << 20, ranks) <= 22);
    CHECK(nodes_of_run(std::int64_t{1} << 20, ranks).size() <= 40u * static_cast<unsigned>(ranks));
  }
}

TEST_CASE("maximal nodes cover a range once, in order, aligned", "[training]") {
  for (std::int64_t begin = 0; begin < 70; ++begin) {
    for (std::int64_t end = begin; end < 140; ++end) {
      std::int64_t at = begin;
      for (const TreeNode& node : maximal_nodes(begin, end)) {
        REQUIRE(node.first == at);
        REQUIRE((node.count & (node.count - 1)) == 0);
        REQUIRE(node.first % node.count == 0);
        at += node.count;
      }
      REQUIRE(at == end);
    }
  }
}

TEST_CASE("a tree that misses a sequence is a defect, not another sum", "[training]") {
  TreeStack stack;
  stack.push_sequence(0);
  CHECK_THROWS_AS(stack.push_sequence(2), std::logic_error);
  CHECK_THROWS_AS(stack.finish(2), std::logic_error);
  TreeStack late;
  late.push_sequence(1);
  CHECK_THROWS_AS(late.finish(2), std::logic_error);
}

}  // namespace ovid::training
