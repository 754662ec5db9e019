#include "src/model/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "kernels/convert/convert.h"
#include "src/core/error.h"
#include "src/memory/transfer.h"
#include "src/model/initialisation.h"
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
      initialise_range(tensor.description, config, seed, 0, {view.data<float>(), count});
      continue;
    }
    staged.resize(count);
    initialise_range(tensor.description, config, seed, 0, staged);
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
