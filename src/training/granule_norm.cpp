#include "src/training/granule_norm.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "kernels/convert/convert.h"
#include "kernels/cpu/parallel_for.h"
#include "src/memory/transfer.h"
#include "src/training/canonical_tree.h"

namespace ovid::training {
namespace {

using kernels::ConstView;
using kernels::DType;
using model::Shape;
using model::View;

constexpr std::int64_t kGranule = model::ShardLayout::kGranule;
constexpr std::int64_t kGranulesAtOnce = 4096;

// Lane j has the elements j, j + 8, ...; squares of floats are exact in double, so that the bits do
// not depend on whether a processor multiplies and adds in one.
double square_sum(const float* x) {
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  for (std::size_t i = 0; i < static_cast<std::size_t>(kGranule); i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      const auto value = static_cast<double>(x[i + j]);
      lanes[j] += value * value;
    }
  }
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

// A stretch of gradients as float32 in the host's memory, wherever and as what they are kept.
class HostFloats {
 public:
  explicit HostFloats(kernels::cuda::Device* device) : device_(device) {}

  const float* fetch(const ConstView& row) {
    if (device_ == nullptr && row.dtype() == DType::kFloat32) return row.data<float>();
    ConstView here = row;
    if (device_ != nullptr) {
      copy_.resize(static_cast<std::size_t>(row.elements()) * kernels::bytes_of(row.dtype()));
      const View host(copy_.data(), row.dtype(), row.shape());
      memory::copy_to_host(device_, host, row);
      memory::synchronize(device_);
      here = host;
    }
    if (here.dtype() == DType::kFloat32) return here.data<float>();
    floats_.resize(static_cast<std::size_t>(row.elements()));
    kernels::ScratchArena scratch;
    kernels::ExecutionContext host(kernels::DeviceKind::kCpu, 1, scratch);
    kernels::convert(host, {.in = here, .out = {floats_.data(), DType::kFloat32, row.shape()}});
    return floats_.data();
  }

 private:
  kernels::cuda::Device* device_;
  std::vector<std::byte> copy_;
  std::vector<float> floats_;
};

// The granules [begin, end) of a group's row that one rank owns; padding at the row's end is
// nobody's, since it depends on the number of ranks.
struct GranuleRange {
  std::int64_t begin, end;
};

GranuleRange range_of(const model::ShardLayout& layout, std::size_t group, int rank) {
  const std::int64_t all = (layout.groups[group].elements + kGranule - 1) / kGranule;
  const std::int64_t part = layout.part_elements(group) / kGranule;
  return {std::min(all, rank * part), std::min(all, (rank + 1) * part)};
}

// Of each granule of the row's begin.
void sum_granules(int threads, HostFloats& host, const View& row, std::span<double> sums) {
  const auto count = static_cast<std::int64_t>(sums.size());
  for (std::int64_t first = 0; first < count; first += kGranulesAtOnce) {
    const std::int64_t these = std::min(kGranulesAtOnce, count - first);
    const float* x = host.fetch(row.reshaped(Shape{row.elements() / kGranule, kGranule})
                                    .row_range(first, these)
                                    .reshaped(Shape{these * kGranule}));
    kernels::cpu::parallel_for(threads, these, 128, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        sums[static_cast<std::size_t>(first + i)] = square_sum(x + i * kGranule);
    });
  }
}

// The sum of a node's values, half by half; their number is a power of two.
double node_sum(std::span<const double> values) {
  if (values.size() == 1) return values[0];
  const std::size_t half = values.size() / 2;
  return node_sum(values.first(half)) + node_sum(values.subspan(half));
}

// Of the nodes of a rank in all groups, in order.
std::vector<double> own_nodes(kernels::ExecutionContext& ctx, const model::ShardLayout& layout,
                              std::span<const View> parts, int rank) {
  HostFloats host(ctx.device());
  std::vector<double> nodes, sums;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    const GranuleRange range = range_of(layout, group, rank);
    sums.resize(static_cast<std::size_t>(range.end - range.begin));
    sum_granules(ctx.threads(), host, parts[group], sums);
    for (const TreeNode& node : maximal_nodes(range.begin, range.end)) {
      nodes.push_back(
          node_sum(std::span(sums).subspan(static_cast<std::size_t>(node.first - range.begin),
                                           static_cast<std::size_t>(node.count))));
    }
  }
  return nodes;
}

std::size_t count_nodes(const model::ShardLayout& layout, int rank) {
  std::size_t count = 0;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    const GranuleRange range = range_of(layout, group, rank);
    count += maximal_nodes(range.begin, range.end).size();
  }
  return count;
}

// Adds the nodes of one group's row, which come in the row's order.
class RowSum {
 public:
  void push(const TreeNode& node, double value) {
    const TreeStack::Push push = stack_.push(node);
    values_.resize(std::max(values_.size(), static_cast<std::size_t>(push.buffer) + 1));
    values_[static_cast<std::size_t>(push.buffer)] = value;
    merge(push.merges);
  }
  double finish(std::int64_t granules) {
    merge(stack_.finish(granules));
    return values_.empty() ? 0.0 : values_[0];
  }

 private:
  void merge(const std::vector<TreeMerge>& merges) {
    for (const TreeMerge& m : merges)
      values_[static_cast<std::size_t>(m.into)] += values_[static_cast<std::size_t>(m.from)];
  }

  TreeStack stack_;
  std::vector<double> values_;
};

}  // namespace

double granule_sum_of_squares(kernels::ExecutionContext& ctx,
                              distributed::Communicator& communicator,
                              const model::ShardLayout& layout, std::span<const View> parts) {
  std::size_t most = 0;
  for (int rank = 0; rank < layout.ranks; ++rank) most = std::max(most, count_nodes(layout, rank));
  std::vector<double> own = own_nodes(ctx, layout, parts, communicator.rank());
  own.resize(most);  // exchange() takes the same from all
  std::vector<double> all(most * static_cast<std::size_t>(layout.ranks));
  communicator.exchange(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)),
                        "squares of the gradients");
  double sum = 0;
  std::vector<std::size_t> read(static_cast<std::size_t>(layout.ranks));  // nodes of each rank
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    if (layout.groups[group].elements == 0) continue;  // all of it is frozen
    RowSum row;
    for (int rank = 0; rank < layout.ranks; ++rank) {
      const GranuleRange range = range_of(layout, group, rank);
      std::size_t& next = read[static_cast<std::size_t>(rank)];
      for (const TreeNode& node : maximal_nodes(range.begin, range.end))
        row.push(node, all[static_cast<std::size_t>(rank) * most + next++]);
    }
    sum += row.finish(range_of(layout, group, layout.ranks - 1).end);
  }
  return sum;
}

}  // namespace ovid::training
