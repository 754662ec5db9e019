#pragma once

#include <cstdint>
#include <vector>

#include "kernels/common/view.h"
#include "src/memory/arena.h"
#include "src/model/activations.h"

namespace ovid::evaluation {

// Tokens and targets of a pass where they are computed on, and its losses where they are added up.
// Without a device both are where they lie.
class PassNumbers {
 public:
  PassNumbers(kernels::cuda::Device* device, const model::BatchShape& shape);

  // Numbers (B T) of the host, which must stay until fetch().
  void send(std::vector<std::int32_t>& tokens, std::vector<std::int32_t>& targets);

  kernels::ConstView tokens() const { return tokens_; }    // (B, T) int32
  kernels::ConstView targets() const { return targets_; }  // (B, T) int32

  // `losses` (B T) float32 on the host, until the next call. Waits for the device.
  const float* fetch(const kernels::View& losses);

 private:
  static std::size_t measure(const kernels::Shape& matrix);

  kernels::cuda::Device* device_;
  kernels::Shape matrix_;
  memory::Arena arena_;
  kernels::View tokens_, targets_;
  std::vector<float> host_losses_;
};

}  // namespace ovid::evaluation
