#include "src/model/operation_count.h"

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
  return {.linear = 3.0 * forward.linear, .attention = 3.0 * forward.attention};
}

}  // namespace ovid::model
