#include "src/model/activations.h"

#include <algorithm>

namespace ovid::model {
namespace {

class Layer {
 public:
  Layer(memory::Arena& arena, const ModelConfig& config, BatchShape batch, DType dtype)
      : arena_(arena), config_(config), batch_(batch), dtype_(dtype) {}

  View wide(const char* name, std::int64_t factor) {  // (B, T, factor C)
    return arena_.take(name, dtype_,
                       Shape{batch_.sequences, batch_.length, factor * config_.width});
  }
  View per_row(const char* name) {
    return arena_.take(name, DType::kFloat32, Shape{batch_.rows()});
  }

  BlockActivations block() { return block(nullptr, Keep::kForBackward); }

  // What `keep` lets blocks share is that of `first`.
  BlockActivations block(const BlockActivations* first, Keep keep) {
    using B = BlockActivations;
    const auto shared = [&](View B::*member, bool when, const char* name, std::int64_t factor) {
      return first != nullptr && when ? first->*member : wide(name, factor);
    };
    const bool inner = keep == Keep::kBlockInputs;
    const bool cheap = inner || keep == Keep::kWithoutCheap;
    return {.qkv = shared(&B::qkv, inner, "qkv", 3),
            .log_sum_exp = first != nullptr && inner
                               ? first->log_sum_exp
                               : arena_.take("log_sum_exp", DType::kFloat32,
                                             Shape{batch_.sequences, config_.heads, batch_.length}),
            .attended = shared(&B::attended, inner, "attended", 1),
            .x_mid = shared(&B::x_mid, inner, "x_mid", 1),
            .m = shared(&B::m, cheap, "m", 1),
            .mean2 = per_row("mean2"),
            .inv_std2 = per_row("inv_std2"),
            .u = shared(&B::u, inner, "u", 4),
            .g = shared(&B::g, cheap, "g", 4),
            .next_x = wide("next_x", 1),
            .next_n = shared(&B::next_n, cheap, "next_n", 1),
            .next_mean = per_row("next_mean"),
            .next_inv_std = per_row("next_inv_std")};
  }

 private:
  memory::Arena& arena_;
  const ModelConfig& config_;
  BatchShape batch_;
  DType dtype_;
};

}  // namespace

std::int64_t head_chunk_rows(const ModelConfig& config, std::int64_t rows) {
  // About 64 MB of logits: small beside the weights, large enough for efficient products.
  constexpr std::int64_t kElements = std::int64_t{1} << 24;
  const std::int64_t fitting =
      std::max<std::int64_t>(kElements / config.vocabulary_size / 64 * 64, 64);
  // Chunks of equal size: a short last one would be a slow product over the whole embedding.
  const std::int64_t chunks = (rows + fitting - 1) / fitting;
  const std::int64_t even = (rows + chunks - 1) / chunks;
  return std::min(rows, (even + 63) / 64 * 64);
}

Activations lay_out_activations(memory::Arena& arena, const ModelConfig& config, BatchShape batch,
                                Keep keep, DType dtype) {
  Layer layer(arena, config, batch, dtype);
  Activations a{
      .keep = keep,
      .x0 = layer.wide("x0", 1),
      .n0 = layer.wide("n0", 1),
      .mean0 = layer.per_row("mean0"),
      .inv_std0 = layer.per_row("inv_std0"),
      .blocks = {},
      .branch = layer.wide("branch", 1),
      .losses = layer.per_row("losses"),
      .logits = arena.take_padded(
          "logits", dtype, Shape{head_chunk_rows(config, batch.rows()), config.vocabulary_size},
          (config.vocabulary_size + 127) / 128 * 128)};
  if (keep == Keep::kNothing) {
    // A block reads the stream that the block before it wrote: two sets that take turns.
    const BlockActivations even = layer.block();
    const BlockActivations odd = config.layers > 1 ? layer.block() : even;
    for (std::int64_t i = 0; i < config.layers; ++i) a.blocks.push_back(i % 2 == 0 ? even : odd);
    return a;
  }
  a.blocks.push_back(layer.block());
  for (std::int64_t i = 1; i < config.layers; ++i) {
    a.blocks.push_back(layer.block(&a.blocks.front(), keep));
    // A block that runs again reads one norm and writes another.
    if (keep == Keep::kBlockInputs && i == 1) a.blocks[1].next_n = layer.wide("next_n", 1);
    if (keep == Keep::kBlockInputs && i > 1) {
      a.blocks.back().next_n = a.blocks[static_cast<std::size_t>(i - 2)].next_n;
    }
  }
  return a;
}

ActivationGradients lay_out_activation_gradients(memory::Arena& arena, const ModelConfig& config,
                                                 BatchShape batch, DType dtype) {
  Layer layer(arena, config, batch, dtype);
  const View x = layer.wide("d_x", 1);
  return {.x = x,
          .n = layer.wide("d_n", 1),
          .branch = config.residual_dropout > 0.0f ? layer.wide("d_branch", 1) : x,
          .attended = layer.wide("d_attended", 1),
          .qkv = layer.wide("d_qkv", 3),
          .g = layer.wide("d_g", 4)};
}

}  // namespace ovid::model
