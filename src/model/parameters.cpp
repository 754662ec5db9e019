#include "src/model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <stdexcept>

#include "kernels/common/random.h"
#include "kernels/convert/convert.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/memory/transfer.h"
#include "src/model/shard_layout.h"

namespace ovid::model {

using kernels::ExecutionContext;

namespace {

DType dtype_of(const ModelConfig& config, const TensorDescription& tensor,
               const ParameterStorage& storage) {
  const char* head = config.tied_head ? "transformer.wte.weight" : "lm_head.weight";
  return tensor.name == head ? storage.head_dtype.value_or(storage.dtype) : storage.dtype;
}

std::vector<View> take_groups(memory::Arena& arena, const ModelConfig& config,
                              const ParameterStorage& storage) {
  std::vector<View> rows;
  if (storage.shards == 0) return rows;
  for (const ShardLayout::Group& group : lay_out_shards(config, storage.shards).groups) {
    rows.push_back(arena.take(group.name, storage.dtype, Shape{group.padded}));
  }
  return rows;
}

// A tensor that lies in no group's row; nothing of one that is left out.
View take_tensor(memory::Arena& arena, const ModelConfig& config, const TensorDescription& tensor,
                 const ParameterStorage& storage) {
  const DType dtype = dtype_of(config, tensor, storage);
  if (!tensor.trained && storage.trained_only) return {nullptr, dtype, Shape{0}};
  if (tensor.trained && storage.shards > 0) return {nullptr, dtype, tensor.shape};
  return arena.take(tensor.name, dtype, tensor.shape, tensor.reserved_rows);
}

// Where a tensor lies in the row of its group.
View view_in(const ShardLayout& layout, const std::vector<View>& rows, std::size_t tensor) {
  const ShardLayout::Tensor& place = layout.tensors[tensor];
  const View& row = rows[place.group];
  auto* const begin = static_cast<std::byte*>(row.raw());
  const std::size_t offset = static_cast<std::size_t>(place.offset) * bytes_of(row.dtype());
  return {begin == nullptr ? nullptr : begin + offset, row.dtype(), place.description.shape};
}

memory::Arena make_arena(const ModelConfig& config, const std::string& purpose,
                         const ParameterStorage& storage) {
  if (storage.only_measures) return memory::Arena(purpose);
  const std::size_t bytes = memory::measure([&](memory::Arena& arena) {
    take_groups(arena, config, storage);
    for (const TensorDescription& t : describe_tensors(config))
      take_tensor(arena, config, t, storage);
  });
  return memory::Arena(purpose, bytes, storage.device);
}

// Two normal deviates from four random words (Box, Muller 1958).
void fill_normal(std::span<float> values, float standard_deviation,
                 const kernels::RandomStream& stream) {
  const auto count = static_cast<std::int64_t>(values.size());
  for (std::int64_t pair = 0; 2 * pair < count; ++pair) {
    const kernels::Philox4x32 words =
        kernels::random_words(stream, static_cast<std::uint64_t>(pair));
    const double u =
        1.0 - kernels::uniform_double(words[0], words[1]);  // in (0, 1]: its logarithm is finite
    const double angle = 2.0 * std::numbers::pi * kernels::uniform_double(words[2], words[3]);
    const double radius = standard_deviation * std::sqrt(-2.0 * std::log(u));
    float* const both = values.data() + 2 * pair;
    both[0] = static_cast<float>(radius * std::cos(angle));
    if (2 * pair + 1 < count) both[1] = static_cast<float>(radius * std::sin(angle));
  }
}

// In [-bound, bound).
void fill_uniform(std::span<float> values, double bound, const kernels::RandomStream& stream) {
  for (std::size_t pair = 0; 2 * pair < values.size(); ++pair) {
    const kernels::Philox4x32 words =
        kernels::random_words(stream, static_cast<std::uint64_t>(pair));
    const auto at = [&](std::size_t i) {
      const double u = kernels::uniform_double(words[2 * i], words[2 * i + 1]);
      return static_cast<float>(bound * (2.0 * u - 1.0));
    };
    values[2 * pair] = at(0);
    if (2 * pair + 1 < values.size()) values[2 * pair + 1] = at(1);
  }
}

void fill(std::span<float> values, const TensorDescription& tensor, const ModelConfig& config,
          std::uint64_t seed) {
  const std::uint64_t key = hash64(std::as_bytes(std::span(tensor.name)));
  const kernels::RandomStream stream{.seed = seed,
                                     .use = kernels::RandomUse::kInitialisation,
                                     .major = key & 0xFFFFFFFFu,
                                     .minor = static_cast<std::uint32_t>(key >> 40)};
  const float residual_scale = 1.0f / std::sqrt(2.0f * static_cast<float>(config.layers));
  switch (tensor.initialisation) {
    case Initialisation::kZero:
      std::fill(values.begin(), values.end(), 0.0f);
      break;
    case Initialisation::kOne:
      std::fill(values.begin(), values.end(), 1.0f);
      break;
    case Initialisation::kNormal:
      return fill_normal(values, 0.02f, stream);
    case Initialisation::kResidualNormal:
      return fill_normal(values, 0.02f * residual_scale, stream);
    case Initialisation::kUniform:
      return fill_uniform(values, 1.0 / std::sqrt(static_cast<double>(tensor.shape.last())),
                          stream);
  }
}

void check_positive(const char* key, std::int64_t value, std::int64_t limit) {
  if (value < 1 || value > limit) {
    throw UsageError(fmt::format("model.{} = {} is outside 1 to {}", key, value, limit));
  }
}

}  // namespace

std::vector<TensorDescription> describe_tensors(const ModelConfig& config) {
  std::vector<TensorDescription> all;
  build_parameters(config, [&](const TensorDescription& description) {
    all.push_back(description);
    return 0;
  });
  return all;
}

std::int64_t parameter_count(const ModelConfig& config) {
  std::int64_t count = 0;
  for (const TensorDescription& t : describe_tensors(config)) count += t.shape.elements();
  return count;
}

std::int64_t trained_parameter_count(const ModelConfig& config) {
  std::int64_t count = 0;
  for (const TensorDescription& t : describe_tensors(config)) {
    if (t.trained) count += t.shape.elements();
  }
  return count;
}

ParameterSet::ParameterSet(const ModelConfig& config, const std::string& purpose,
                           const ParameterStorage& storage)
    : dtype_(storage.dtype),
      arena_(make_arena(config, purpose, storage)),
      groups_(take_groups(arena_, config, storage)),
      views_(build_parameters(config,
                              [&, layout = lay_out_shards(config, std::max(storage.shards, 1))](
                                  const TensorDescription& t) {
                                const View view = storage.shards > 0 && t.trained
                                                      ? view_in(layout, groups_, tensors_.size())
                                                      : take_tensor(arena_, config, t, storage);
                                tensors_.push_back({t, view});
                                return view;
                              })) {}

View ParameterSet::flat() {
  for (const Tensor& tensor : tensors_) {
    if (tensor.view.dtype() != dtype_) {
      throw std::logic_error("parameters of two number types are no single row");
    }
  }
  return arena_.flat(dtype_);
}

std::vector<View> ParameterSet::runs() const {
  if (!groups_.empty()) return groups_;
  std::vector<View> runs, held;
  for (const Tensor& tensor : tensors_) {
    if (tensor.view.elements() > 0) held.push_back(tensor.view);
  }
  const std::vector<memory::Arena::Entry>& entries = arena_.entries();
  for (std::size_t first = 0; first < held.size();) {
    const View& begin = held[first];
    std::size_t next = first + 1;
    while (next < held.size() && held[next].dtype() == begin.dtype()) ++next;
    const std::size_t end = next < entries.size() ? entries[next].offset : arena_.used_bytes();
    const std::size_t bytes = end - entries[first].offset;
    runs.emplace_back(begin.raw(), begin.dtype(),
                      Shape{static_cast<std::int64_t>(bytes / bytes_of(begin.dtype()))});
    first = next;
  }
  return runs;
}

void ParameterSet::copy_from(ParameterSet& other) {
  if (flat().elements() != other.flat().elements()) {
    throw std::logic_error("parameters of another model cannot be copied");
  }
  memory::copy_on_device(device(), flat(), other.flat());
}

void check_model_config(const ModelConfig& config) {
  check_positive("layers", config.layers, 1'000);
  check_positive("heads", config.heads, 1'000);
  check_positive("width", config.width, 65'536);
  check_positive("context_length", config.context_length, 1 << 20);
  check_positive("vocabulary_size", config.vocabulary_size, 65'536);
  if (config.width % config.heads != 0) {
    throw UsageError(
        fmt::format("model.width = {} is not a multiple of model.heads = {}; try width {} or {}",
                    config.width, config.heads, config.width / config.heads * config.heads,
                    (config.width / config.heads + 1) * config.heads));
  }
}

void initialise(ParameterSet& weights, const ModelConfig& config, std::uint64_t seed) {
  std::vector<float> staged;  // of a tensor that lies on a device
  for (const ParameterSet::Tensor& tensor : weights.tensors()) {
    const View& view = tensor.view;
    const auto count = static_cast<std::size_t>(view.elements());
    if (weights.device() == nullptr) {
      fill({view.data<float>(), count}, tensor.description, config, seed);
      continue;
    }
    staged.resize(count);
    fill(staged, tensor.description, config, seed);
    memory::copy_to_device(weights.device(), view, {staged.data(), DType::kFloat32, view.shape()});
  }
  memory::synchronize(weights.device());
}

void upload_parameters(const ParameterSet& from, ParameterSet& to, int threads) {
  kernels::ScratchArena scratch;
  ExecutionContext host(kernels::DeviceKind::kCpu, threads, scratch);
  std::vector<std::byte> staged;
  for (std::size_t i = 0; i < from.tensors().size(); ++i) {
    const View& source = from.tensors()[i].view;
    const View& target = to.tensors()[i].view;
    staged.resize(static_cast<std::size_t>(target.elements()) * bytes_of(target.dtype()));
    const View rounded(staged.data(), target.dtype(), target.shape());
    convert(host, {.in = source, .out = rounded});
    memory::copy_to_device(to.device(), target, rounded);
  }
  memory::synchronize(to.device());
}

void round_parameters(ExecutionContext& ctx, const ParameterSet& from, ParameterSet& to) {
  for (std::size_t i = 0; i < from.tensors().size(); ++i) {
    convert(ctx, {.in = from.tensors()[i].view, .out = to.tensors()[i].view});
  }
}

}  // namespace ovid::model
