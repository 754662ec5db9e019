#include "src/training/parameter_files.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "src/checkpoint/adapter_files.h"
#include "src/core/log.h"
#include "src/memory/execution.h"
#include "src/memory/transfer.h"
#include "src/model/low_rank.h"
#include "src/model/merged_weights.h"

namespace ovid::training {
namespace {

template <class Named>
std::vector<Named> named(const model::ParameterSet& parameters, TensorKind kind) {
  std::vector<Named> all;
  for (const auto& tensor : parameters.tensors()) {
    if (tensor.description.is_adapter != (kind == TensorKind::kAdapter)) continue;
    all.push_back({tensor.description.name, tensor.view, parameters.device()});
  }
  return all;
}

// Adapters in host memory beside the weights that they belong to.
struct AdaptedWeights {
  AdaptedWeights(const model::ModelConfig& config, const model::ParameterSet& weights)
      : arena("adapters", memory::measure([&](memory::Arena& a) { lay_out(a, config, weights); })),
        views(lay_out(arena, config, weights)) {}

  // The views of all tensors; of adapters also in `adapters`.
  model::ModelParameters<model::View> lay_out(memory::Arena& a, const model::ModelConfig& config,
                                              const model::ParameterSet& weights) {
    adapters.clear();
    std::map<std::string, model::View> own;
    for (const auto& tensor : weights.tensors()) own.emplace(tensor.description.name, tensor.view);
    return model::build_parameters(config, [&](const model::TensorDescription& tensor) {
      if (!tensor.is_adapter) return own.at(tensor.name);
      const model::View view = a.take(tensor.name, model::DType::kFloat32, tensor.shape);
      adapters.push_back({tensor.name, view, nullptr});
      return view;
    });
  }

  std::vector<checkpoint::NamedDestination> adapters;
  memory::Arena arena;
  model::ModelParameters<model::View> views;
};

std::size_t merge_scratch(const model::ModelConfig& config, int threads) {
  kernels::ScratchArena scratch;
  kernels::ExecutionContext ctx =
      kernels::ExecutionContext::dry_run(kernels::DeviceKind::kCpu, threads, scratch);
  model::MergedWeights::measure_scratch(ctx, config);
  return scratch.high_water();
}

// On the host, so that all devices begin with the same bits.
void merge_linear(kernels::ExecutionContext& ctx,
                  const model::LinearParameters<model::View>& linear, float scale,
                  kernels::cuda::Device* device) {
  std::vector<float> staged;
  model::View weight = linear.weight;
  if (device != nullptr) {
    staged.resize(static_cast<std::size_t>(weight.elements()));
    weight = model::View(staged.data(), model::DType::kFloat32, weight.shape());
    memory::copy_to_host(device, weight, linear.weight);
    memory::synchronize(device);
  }
  model::merge_low_rank(
      ctx, {.weight = weight, .adapter = *linear.low_rank, .scale = scale, .sum = weight});
  if (device == nullptr) return;
  memory::copy_to_device(device, linear.weight, weight);
  memory::synchronize(device);
}

}  // namespace

std::vector<checkpoint::NamedTensor> named_tensors(const model::ParameterSet& parameters,
                                                   TensorKind kind) {
  return named<checkpoint::NamedTensor>(parameters, kind);
}

std::vector<checkpoint::NamedDestination> named_destinations(const model::ParameterSet& parameters,
                                                             TensorKind kind) {
  return named<checkpoint::NamedDestination>(parameters, kind);
}

void merge_adapter(const Path& directory, const model::ParameterSet& weights, int threads) {
  const auto adapter = checkpoint::find_adapter(directory);
  if (!adapter) return;
  const Path base = checkpoint::base_model_directory(directory);
  // A base may have adapters itself: a folder beside this one, or this one.
  const auto of_base = base != directory ? checkpoint::find_adapter(base) : std::nullopt;
  if (of_base && !std::filesystem::equivalent(*of_base, *adapter))
    merge_adapter(base, weights, threads);
  model::ModelConfig config = checkpoint::read_model_config(base);
  config.low_rank = checkpoint::read_adapter_config(*adapter, config);
  const AdaptedWeights adapted(config, weights);
  checkpoint::read_adapter(*adapter, config, adapted.adapters);
  memory::Execution execution(nullptr, threads, merge_scratch(config, threads));
  const auto scale = static_cast<float>(config.low_rank.scale());
  for (const auto& block : adapted.views.blocks) {
    for (const auto* linear : model::linears_of(block)) {
      if (linear->low_rank) merge_linear(execution.context(), *linear, scale, weights.device());
    }
  }
  log::info(fmt::format("{}: low-rank adapters of rank {} merged into the weights",
                        adapter->string(), config.low_rank.rank));
}

LoadedModel load_model(const Path& directory, const memory::ComputeTarget& target) {
  const Path base = checkpoint::base_model_directory(directory);
  const model::ModelConfig config = checkpoint::read_model_config(base);
  model::check_model_config(config);
  checkpoint::check_parameters(base, config);
  LoadedModel loaded{config, model::ParameterSet(config, "weights",
                                                 {.dtype = target.dtype, .device = target.device})};
  if (target.dtype == kernels::DType::kFloat32) {
    checkpoint::read_parameters(base, named_destinations(loaded.weights));
    merge_adapter(directory, loaded.weights, target.threads);
    return loaded;
  }
  const model::ParameterSet exact(config, "weights before they are rounded");
  checkpoint::read_parameters(base, named_destinations(exact));
  merge_adapter(directory, exact, target.threads);
  model::upload_parameters(exact, loaded.weights, target.threads);
  return loaded;
}

std::optional<Path> find_tokenizer(const Path& directory) {
  const auto holds = [&](const char* name) { return std::filesystem::exists(directory / name); };
  if ((holds("vocab.json") && holds("merges.txt")) || (holds("encoder.json") && holds("vocab.bpe")))
    return directory;
  const Path base = checkpoint::base_model_directory(directory);
  return base != directory ? find_tokenizer(base) : std::nullopt;
}

}  // namespace ovid::training
