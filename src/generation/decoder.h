#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/memory/arena.h"
#include "src/memory/compute_target.h"
#include "src/memory/execution.h"
#include "src/model/parameters.h"

namespace ovid::generation {

// One new token of one sequence.
struct DecoderRow {
  std::int32_t sequence;  // in [0, S)
  std::int32_t position;  // in [0, P): all earlier positions of the sequence were decoded before,
                          // or are in this call
  std::int32_t token;
};

// How much a decoder holds: `sequences` S at once, each of up to `positions` P tokens. 0 positions,
// or more than the context length, stand for the context length.
struct DecoderCapacity {
  DecoderCapacity(std::int64_t most_sequences, std::int64_t most_positions = 0)
      : sequences(most_sequences), positions(most_positions) {}
  std::int64_t sequences;
  std::int64_t positions;
};

// The model with cached keys and values: computes only what is new. Every product is taken row by
// row, so the logits of a row do not depend on which other rows are decoded with it, nor on the
// number of threads. Weights belong to the caller; they have the target's number type and lie on
// its device.
class Decoder {
 public:
  // Takes all of its memory. Throws ResourceError where the system has not got it.
  Decoder(const model::ModelConfig& config, const model::ModelParameters<model::View>& weights,
          DecoderCapacity capacity, const memory::ComputeTarget& target);

  // Bytes that such a decoder takes beside the weights: the cache of keys and values
  // (2 L S P C numbers, nearly all of it), activations and scratch. Found without taking any.
  static std::size_t required_bytes(const model::ModelConfig& config, DecoderCapacity capacity,
                                    const memory::ComputeTarget& target);

  // Decodes the rows; then logits(i) is what the model expects after rows[i], where wanted[i]. Any
  // number of rows.
  void decode(std::span<const DecoderRow> rows, std::span<const bool> wanted);
  std::span<const float> logits(std::size_t row) const;

  // Copies the first `positions` positions of one sequence's cache to another's.
  void copy_cache(std::int64_t from, std::int64_t to, std::int64_t positions);

  std::int64_t sequences() const { return capacity_.sequences; }
  std::int64_t positions() const { return capacity_.positions; }
  const model::ModelConfig& config() const { return config_; }

 private:
  struct LayerCache {
    model::View keys;    // (S, P, C)
    model::View values;  // (S, P, C)
  };
  struct Buffers {
    model::View x, n, branch, attended;        // (R, C)
    model::View qkv;                           // (R, 3C)
    model::View g;                             // (R, 4C)
    model::View mean, inv_std;                 // (R)
    model::View tokens, positions, sequences;  // (R) int32
    model::View wanted_n;                      // (R, C)
    model::View logits;                        // (R, V)
    model::View logits_float32;                // (R, V) the same memory where they are float32
    std::vector<LayerCache> cache;
  };
  static constexpr std::int64_t kRows = 64;  // of one pass through the layers

  static Buffers lay_out(memory::Arena& arena, const model::ModelConfig& config,
                         DecoderCapacity capacity, model::DType dtype);
  static std::size_t measure_scratch(const model::ModelConfig& config, DecoderCapacity capacity,
                                     const memory::ComputeTarget& target);
  static void run_layers(kernels::ExecutionContext& ctx, const model::ModelConfig& config,
                         const model::ModelParameters<model::View>& weights, const Buffers& buffers,
                         std::int64_t rows);
  static void run_head(kernels::ExecutionContext& ctx,
                       const model::ModelParameters<model::View>& weights, const Buffers& buffers,
                       std::int64_t rows);
  void upload(std::span<const DecoderRow> rows);
  // Appends the logits of the first `count` rows of wanted_n to logits_.
  void append_logits(std::int64_t count);
  void decode_chunk(std::span<const DecoderRow> rows, std::span<const bool> wanted,
                    std::size_t first);

  const model::ModelConfig config_;
  const model::ModelParameters<model::View>& weights_;
  const DecoderCapacity capacity_;
  kernels::cuda::Device* device_;
  memory::Execution execution_;
  memory::Arena arena_;
  Buffers buffers_;
  memory::TransferBuffer row_numbers_;        // tokens, positions, sequences of a chunk, kRows each
  std::vector<float> logits_;                 // of all wanted rows of the last decode
  std::vector<std::ptrdiff_t> logits_begin_;  // per row; -1 where not wanted
};

}  // namespace ovid::generation
