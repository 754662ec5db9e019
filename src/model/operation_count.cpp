#include "src/model/operation_count.h"

#include <algorithm>
#include <cstddef>

#include "src/model/backward_extent.h"
#include "src/model/parameters.h"

namespace ovid::model {

OperationCount forward_operations(const ModelConfig& config, BatchShape batch) {
  const auto rows = static_cast<double>(batch.rows());
  const auto width = static_cast<double>(config.width);
  const auto layers = static_cast<double>(config.layers);
  const auto length = static_cast<double>(batch.length);
  const double head = width * static_cast<double>(config.vocabulary_size);
  // A block's matrices hold 3 + 1 + 4 + 4 squares of the width. A row attends to (T + 1) / 2 others
  // on average, with a product of its width for the score and one for the value.
  return {.linear = 2.0 * rows * (12.0 * layers * width * width + head),
          .attention = 2.0 * rows * layers * 2.0 * width * (length + 1.0) / 2.0};
}

OperationCount training_operations(const ModelConfig& config, BatchShape batch) {
  const OperationCount forward = forward_operations(config, batch);
  const ModelParameters<bool> trained =
      build_parameters(config, [](const TensorDescription& t) { return t.trained; });
  const BackwardExtent extent = backward_extent(config);
  const auto width = static_cast<double>(config.width);
  // Of the backward pass: elements of the matrices, once for each product with one.
  double matrices = 0, blocks_with_attention = 0;
  const auto count = [&](double elements, bool weight, bool input) {
    matrices += elements * ((weight ? 1.0 : 0.0) + (input ? 1.0 : 0.0));
  };
  count(width * static_cast<double>(config.vocabulary_size), trained.head,
        extent.block < config.layers);
  for (std::int64_t i = std::max<std::int64_t>(extent.block, 0); i < config.layers; ++i) {
    const BlockParameters<bool>& block = trained.blocks[static_cast<std::size_t>(i)];
    const int lowest = extent.lowest_of(i);
    const double square = width * width;
    count(4.0 * square, block.contract.weight, lowest < 6);
    count(4.0 * square, block.expand.weight, lowest < 5);
    count(1.0 * square, block.projection.weight, lowest < 3);
    count(3.0 * square, block.qkv.weight, lowest < 1);
    if (lowest < 3) blocks_with_attention += 1;
  }
  const double share = blocks_with_attention / static_cast<double>(config.layers);
  return {.linear = forward.linear + 2.0 * static_cast<double>(batch.rows()) * matrices,
          .attention = (1.0 + 2.0 * share) * forward.attention};
}

}  // namespace ovid::model
