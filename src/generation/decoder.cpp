#include "src/generation/decoder.h"

#include <algorithm>
#include <cassert>

#include "kernels/attention/attention.h"
#include "kernels/convert/convert.h"
#include "kernels/embedding/embedding.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "src/memory/transfer.h"

namespace ovid::generation {

using kernels::ExecutionContext;
using model::DType;
using model::ModelConfig;
using model::Shape;
using model::View;

namespace {

DecoderCapacity within_context(const ModelConfig& config, DecoderCapacity capacity) {
  const std::int64_t most = config.context_length;
  capacity.positions = capacity.positions > 0 ? std::min(capacity.positions, most) : most;
  return capacity;
}

}  // namespace

Decoder::Decoder(const ModelConfig& config, const model::ModelParameters<View>& weights,
                 DecoderCapacity capacity, const memory::ComputeTarget& target)
    : config_(config),
      weights_(weights),
      capacity_(within_context(config, capacity)),
      device_(target.device),
      execution_(target.device, target.threads, measure_scratch(config, capacity_, target)),
      arena_("keys and values", memory::measure([&](memory::Arena& arena) {
               lay_out(arena, config, capacity_, target.dtype);
             }),
             target.device),
      buffers_(lay_out(arena_, config, capacity_, target.dtype)),
      row_numbers_(3 * kRows * sizeof(std::int32_t), "the rows to decode", target.device) {}

std::size_t Decoder::required_bytes(const ModelConfig& config, DecoderCapacity capacity,
                                    const memory::ComputeTarget& target) {
  const DecoderCapacity whole = within_context(config, capacity);
  return measure_scratch(config, whole, target) + memory::measure([&](memory::Arena& arena) {
           lay_out(arena, config, whole, target.dtype);
         });
}

Decoder::Buffers Decoder::lay_out(memory::Arena& arena, const ModelConfig& config,
                                  DecoderCapacity capacity, DType dtype) {
  const std::int64_t C = config.width;
  const auto wide = [&](const char* name, std::int64_t columns) {
    return arena.take(name, dtype, Shape{kRows, columns});
  };
  const auto per_row = [&](const char* name, DType type) {
    return arena.take(name, type, Shape{kRows});
  };
  const View logits = wide("logits", config.vocabulary_size);
  const View logits_float32 =
      dtype == DType::kFloat32 ? logits
                               : arena.take("logits in float32", DType::kFloat32, logits.shape());
  Buffers b{.x = wide("x", C),
            .n = wide("n", C),
            .branch = wide("branch", C),
            .attended = wide("attended", C),
            .qkv = wide("qkv", 3 * C),
            .g = wide("g", 4 * C),
            .mean = per_row("mean", DType::kFloat32),
            .inv_std = per_row("inv_std", DType::kFloat32),
            .tokens = per_row("tokens", DType::kInt32),
            .positions = per_row("positions", DType::kInt32),
            .sequences = per_row("sequences", DType::kInt32),
            .wanted_n = wide("wanted_n", C),
            .logits = logits,
            .logits_float32 = logits_float32,
            .cache = {}};
  const Shape cache{capacity.sequences, capacity.positions, C};
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const View keys = arena.take("keys", dtype, cache);
    const View values = arena.take("values", dtype, cache);
    b.cache.push_back({keys, values});
  }
  return b;
}

std::size_t Decoder::measure_scratch(const ModelConfig& config, DecoderCapacity capacity,
                                     const memory::ComputeTarget& target) {
  kernels::ScratchArena scratch;
  ExecutionContext ctx = ExecutionContext::dry_run(target.kind, target.threads, scratch);
  memory::Arena arena("measure");
  const Buffers buffers = lay_out(arena, config, capacity, target.dtype);
  const model::ParameterSet weights(config, "measure",
                                    {.dtype = target.dtype, .only_measures = true});
  run_layers(ctx, config, weights.views(), buffers, kRows);
  run_head(ctx, weights.views(), buffers, kRows);
  return scratch.high_water();
}

void Decoder::run_layers(ExecutionContext& ctx, const ModelConfig& config,
                         const model::ModelParameters<View>& weights, const Buffers& buffers,
                         std::int64_t rows) {
  const auto head = [&](const View& view) { return view.row_range(0, rows); };
  const auto vector = [&](const View& view) { return View(view.raw(), view.dtype(), Shape{rows}); };
  const View x = head(buffers.x), n = head(buffers.n), branch = head(buffers.branch),
             qkv = head(buffers.qkv);
  const View attended = head(buffers.attended), g = head(buffers.g);
  const View mean = vector(buffers.mean), inv_std = vector(buffers.inv_std);
  const float epsilon = config.layernorm_epsilon;
  const Shape as_tokens{rows, 1};

  embedding_forward(ctx, {.tokens = vector(buffers.tokens).reshaped(as_tokens),
                          .positions = vector(buffers.positions).reshaped(as_tokens),
                          .token_embedding = weights.token_embedding,
                          .position_embedding = weights.position_embedding,
                          .out = x.reshaped(Shape{rows, 1, config.width})});
  const auto& first_norm = weights.blocks.front().norm1;
  layernorm_forward(ctx, {.in = x,
                          .gain = first_norm.gain,
                          .bias = first_norm.bias,
                          .out = n,
                          .mean = mean,
                          .inv_std = inv_std,
                          .epsilon = epsilon});
  // The seven lines of src/model/block.cpp with cached keys and values; the stream is updated in
  // place.
  for (std::size_t i = 0; i < weights.blocks.size(); ++i) {
    const auto& w = weights.blocks[i];
    const auto& next_norm =
        i + 1 < weights.blocks.size() ? weights.blocks[i + 1].norm1 : weights.final_norm;
    linear_forward(
        ctx,
        {.in = n, .weight = w.qkv.weight, .bias = w.qkv.bias, .out = qkv, .row_independent = true});
    cached_attention_forward(ctx, {.qkv = qkv,
                                   .sequences = vector(buffers.sequences),
                                   .positions = vector(buffers.positions),
                                   .keys = buffers.cache[i].keys,
                                   .values = buffers.cache[i].values,
                                   .out = attended,
                                   .heads = config.heads});
    linear_forward(ctx, {.in = attended,
                         .weight = w.projection.weight,
                         .bias = w.projection.bias,
                         .out = branch,
                         .row_independent = true});
    residual_layernorm_forward(ctx, {.x = x,
                                     .branch = branch,
                                     .gain = w.norm2.gain,
                                     .bias = w.norm2.bias,
                                     .sum = x,
                                     .normed = n,
                                     .mean = mean,
                                     .inv_std = inv_std,
                                     .epsilon = epsilon});
    linear_gelu_forward(ctx, {.in = n,
                              .weight = w.expand.weight,
                              .bias = w.expand.bias,
                              .before = g,
                              .out = g,
                              .row_independent = true});
    linear_forward(ctx, {.in = g,
                         .weight = w.contract.weight,
                         .bias = w.contract.bias,
                         .out = branch,
                         .row_independent = true});
    residual_layernorm_forward(ctx, {.x = x,
                                     .branch = branch,
                                     .gain = next_norm.gain,
                                     .bias = next_norm.bias,
                                     .sum = x,
                                     .normed = n,
                                     .mean = mean,
                                     .inv_std = inv_std,
                                     .epsilon = epsilon});
  }
}

void Decoder::run_head(ExecutionContext& ctx, const model::ModelParameters<View>& weights,
                       const Buffers& buffers, std::int64_t rows) {
  linear_forward(ctx, {.in = buffers.wanted_n.row_range(0, rows),
                       .weight = weights.head,
                       .out = buffers.logits.row_range(0, rows),
                       .layout = kernels::WeightLayout::kOutIn,
                       .row_independent = true});
}

void Decoder::decode(std::span<const DecoderRow> rows, std::span<const bool> wanted) {
  assert(rows.size() == wanted.size());
  logits_.clear();
  logits_begin_.assign(rows.size(), -1);
  for (std::size_t first = 0; first < rows.size(); first += kRows) {
    const std::size_t count = std::min<std::size_t>(kRows, rows.size() - first);
    decode_chunk(rows.subspan(first, count), wanted.subspan(first, count), first);
  }
}

void Decoder::upload(std::span<const DecoderRow> rows) {
  const std::span<std::byte> memory = row_numbers_.bytes();
  auto* numbers = reinterpret_cast<std::int32_t*>(memory.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    numbers[i] = rows[i].token;
    numbers[kRows + i] = rows[i].position;
    numbers[2 * kRows + i] = rows[i].sequence;
  }
  for (const View& to : {buffers_.tokens, buffers_.positions, buffers_.sequences}) {
    memory::copy_to_device(device_, to, {numbers, DType::kInt32, Shape{kRows}});
    numbers += kRows;
  }
}

void Decoder::append_logits(std::int64_t count) {
  const auto elements = static_cast<std::size_t>(count * config_.vocabulary_size);
  const View from = buffers_.logits_float32.row_range(0, count);
  if (from.raw() != buffers_.logits.raw()) {
    convert(execution_.context(), {.in = buffers_.logits.row_range(0, count), .out = from});
  }
  logits_.resize(logits_.size() + elements);
  float* to = logits_.data() + (logits_.size() - elements);
  memory::copy_to_host(device_, View(to, DType::kFloat32, from.shape()), from);
  memory::synchronize(device_);
}

void Decoder::decode_chunk(std::span<const DecoderRow> rows, std::span<const bool> wanted,
                           std::size_t first) {
  upload(rows);
  run_layers(execution_.context(), config_, weights_, buffers_,
             static_cast<std::int64_t>(rows.size()));
  std::int64_t count = 0;
  const auto V = static_cast<std::size_t>(config_.vocabulary_size);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!wanted[i]) continue;
    memory::copy_on_device(device_, buffers_.wanted_n.row_range(count, 1),
                           buffers_.n.row_range(static_cast<std::int64_t>(i), 1));
    logits_begin_[first + i] =
        static_cast<std::ptrdiff_t>(logits_.size() + static_cast<std::size_t>(count) * V);
    ++count;
  }
  if (count == 0) return memory::synchronize(device_);  // the host's row numbers are free again
  run_head(execution_.context(), weights_, buffers_, count);
  append_logits(count);
}

std::span<const float> Decoder::logits(std::size_t row) const {
  assert(logits_begin_[row] >= 0);
  return {logits_.data() + logits_begin_[row], static_cast<std::size_t>(config_.vocabulary_size)};
}

void Decoder::copy_cache(std::int64_t from, std::int64_t to, std::int64_t positions) {
  const std::int64_t P = capacity_.positions;
  for (const LayerCache& layer : buffers_.cache) {
    for (const View& cache : {layer.keys, layer.values}) {
      memory::copy_on_device(device_, cache.row_range(to * P, positions),
                             cache.row_range(from * P, positions));
    }
  }
}

}  // namespace ovid::generation
