#include "tests/checkpoint/rank_contents.h"

#include <fmt/format.h>

namespace ovid::checkpoint {
namespace {

std::vector<NamedTensor> parts_of(const std::vector<NamedTensor>& tensors,
                                  const WritingRanks& ranks) {
  std::vector<NamedTensor> parts;
  for (const NamedTensor& tensor : tensors) {
    const std::int64_t n = tensor.view.elements();
    const std::int64_t begin = ranks.rank * n / ranks.count;
    const std::int64_t end = (ranks.rank + 1) * n / ranks.count;
    if (begin == end) continue;
    parts.push_back({part_name(tensor.name, begin, end),
                     {tensor.view.data<float>() + begin, kernels::DType::kFloat32,
                      kernels::Shape{end - begin}}});
  }
  return parts;
}

}  // namespace

std::string part_name(const std::string& name, std::int64_t begin, std::int64_t end) {
  return fmt::format("{}@{}:{}", name, begin, end);
}

CheckpointContent share_of(const CheckpointContent& whole, const WritingRanks& ranks,
                           bool shares_model) {
  CheckpointContent share = whole;
  share.ranks = ranks;
  share.optimizer = parts_of(whole.optimizer, ranks);
  if (shares_model) {
    share.parameters = parts_of(whole.parameters, ranks);
    share.average = parts_of(whole.average, ranks);
  } else if (ranks.rank > 0) {
    share.parameters.clear();
    share.average.clear();
  }
  return share;
}

}  // namespace ovid::checkpoint
