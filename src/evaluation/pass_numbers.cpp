#include "src/evaluation/pass_numbers.h"

#include "src/memory/transfer.h"

namespace ovid::evaluation {

using kernels::DType;
using kernels::Shape;
using kernels::View;

PassNumbers::PassNumbers(kernels::cuda::Device* device, const model::BatchShape& shape)
    : device_(device),
      matrix_{shape.sequences, shape.length},
      arena_("tokens of an evaluation", device == nullptr ? 0 : measure(matrix_), device),
      tokens_(nullptr, DType::kInt32, matrix_),
      targets_(nullptr, DType::kInt32, matrix_) {
  if (device == nullptr) return;
  tokens_ = arena_.take("tokens", DType::kInt32, matrix_);
  targets_ = arena_.take("targets", DType::kInt32, matrix_);
  host_losses_.resize(static_cast<std::size_t>(shape.rows()));
}

void PassNumbers::send(std::vector<std::int32_t>& tokens, std::vector<std::int32_t>& targets) {
  const View of_tokens(tokens.data(), DType::kInt32, matrix_);
  const View of_targets(targets.data(), DType::kInt32, matrix_);
  if (device_ == nullptr) {
    tokens_ = of_tokens;
    targets_ = of_targets;
    return;
  }
  memory::copy_to_device(device_, tokens_, of_tokens);
  memory::copy_to_device(device_, targets_, of_targets);
}

const float* PassNumbers::fetch(const View& losses) {
  if (device_ == nullptr) return losses.data<float>();
  memory::copy_to_host(device_, {host_losses_.data(), DType::kFloat32, losses.shape()}, losses);
  memory::synchronize(device_);
  return host_losses_.data();
}

std::size_t PassNumbers::measure(const Shape& matrix) {
  return memory::measure([&](memory::Arena& arena) {
    arena.take("tokens", DType::kInt32, matrix);
    arena.take("targets", DType::kInt32, matrix);
  });
}

}  // namespace ovid::evaluation
