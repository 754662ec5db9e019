#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/model_tensors.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/parameter_matching.h"
#include "src/checkpoint/range_reading.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/staged_destination.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

constexpr std::string_view kHead = "lm_head.weight";
constexpr std::string_view kTokenEmbedding = "wte.weight";

bool is_float_dtype(std::string_view dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

bool same_tensor(const StoredTensor& a, const StoredTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         (a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0);
}

using TensorsByName = std::map<std::string_view, const StoredTensor*>;  // names without the prefix

TensorsByName parameters_of(const ModelTensors& tensors, std::vector<std::string>& problems) {
  TensorsByName by_name;
  for (const auto& [name, tensor] : tensors.all()) {
    if (is_attention_mask(name)) continue;
    if (!by_name.emplace(without_prefix(name), tensor).second) {
      problems.push_back(fmt::format("'{}' is there with and without the prefix 'transformer.'",
                                     without_prefix(name)));
    }
  }
  return by_name;
}

// A tied model may store its head all the same; then it must be the embedding.
void take_tied_head(TensorsByName& by_name, std::vector<std::string>& problems) {
  const auto head = by_name.find(kHead);
  if (head == by_name.end()) return;
  const auto embedding = by_name.find(kTokenEmbedding);
  if (embedding == by_name.end() || !same_tensor(*head->second, *embedding->second)) {
    problems.push_back(
        "'lm_head.weight' differs from 'transformer.wte.weight' though the head is tied; set "
        "tie_word_embeddings: false "
        "in config.json to keep both");
  }
  by_name.erase(head);
}

}  // namespace

ParameterMatch match_parameters(const ModelTensors& tensors,
                                const std::vector<TensorSpecification>& wanted) {
  ParameterMatch match;
  TensorsByName by_name = parameters_of(tensors, match.problems);
  const bool tied = std::none_of(wanted.begin(), wanted.end(),
                                 [](const auto& want) { return want.name == kHead; });
  if (tied) take_tied_head(by_name, match.problems);
  for (const TensorSpecification& want : wanted) {
    const auto found = by_name.find(without_prefix(want.name));
    if (found == by_name.end()) {
      match.problems.push_back(fmt::format("'{}' {} is missing", want.name, want.shape.text()));
      match.stored.push_back(nullptr);
      continue;
    }
    const StoredTensor& stored = *found->second;
    if (!same_shape(stored.shape, want.shape)) {
      match.problems.push_back(fmt::format("'{}' is {}, wanted is {}", want.name,
                                           shape_text(stored.shape), want.shape.text()));
    } else if (!is_float_dtype(stored.dtype)) {
      match.problems.push_back(fmt::format(
          "'{}' is of dtype {}; F32, F16, BF16 and F64 can be read", want.name, stored.dtype));
    }
    match.stored.push_back(&stored);
    by_name.erase(found);
  }
  for (const auto& [name, tensor] : by_name) {
    match.problems.push_back(
        fmt::format("'{}' {} is no parameter of this model", name, shape_text(tensor->shape)));
  }
  return match;
}

void refuse_problems(const std::string& subject, const std::vector<std::string>& problems) {
  constexpr std::size_t kShown = 20;
  if (problems.empty()) return;
  std::string text =
      fmt::format("{}: {} {}", subject, problems.size(),
                  problems.size() == 1 ? "tensor does not fit" : "tensors do not fit");
  for (std::size_t i = 0; i < std::min(kShown, problems.size()); ++i) text += "\n  " + problems[i];
  if (problems.size() > kShown) text += fmt::format("\n  and {} more", problems.size() - kShown);
  throw CheckpointError(text);
}

void check_parameters(const Path& directory, const model::ModelConfig& config) {
  refuse_problems(directory.string(),
                  match_parameters(ModelTensors(directory), gpt2_tensors(config)).problems);
}

void read_parameters(const Path& directory, std::span<const NamedDestination> destinations) {
  const ModelTensors tensors(directory);
  std::vector<TensorSpecification> wanted;
  for (const NamedDestination& destination : destinations) {
    wanted.push_back({destination.name, destination.view.shape()});
  }
  const ParameterMatch match = match_parameters(tensors, wanted);
  refuse_problems(directory.string(), match.problems);
  for (std::size_t i = 0; i < destinations.size(); ++i) {
    fill_destination(destinations[i], [&](const kernels::View& view) {
      read_as_float32(*match.stored[i], view,
                      fmt::format("{}: '{}'", directory.string(), destinations[i].name));
    });
    forget_mapped(match.stored[i]->bytes);
  }
}

void load_parameter_parts(const Path& checkpoint, const model::ModelConfig& config,
                          std::span<const NamedDestination> parts) {
  const ModelTensors tensors(checkpoint);
  const std::vector<TensorSpecification> wanted = gpt2_tensors(config);
  const ParameterMatch match = match_parameters(tensors, wanted);
  refuse_problems(checkpoint.string(), match.problems);
  std::map<std::string_view, const StoredTensor*> stored;
  for (std::size_t i = 0; i < wanted.size(); ++i) stored[wanted[i].name] = match.stored[i];
  for (const NamedDestination& destination : parts) {
    const std::optional<PartName> part = parse_part_name(destination.name);
    const auto found = part ? stored.find(part->tensor) : stored.end();
    if (found == stored.end()) {
      throw std::logic_error(
          fmt::format("'{}' is to be read, and no tensor of the model", destination.name));
    }
    const StoredTensor& tensor = *found->second;
    std::uint64_t elements = 1;
    for (const std::int64_t extent : tensor.shape) elements *= static_cast<std::uint64_t>(extent);
    const PartName::Range range = part->range.value_or(PartName::Range{0, elements});
    if (range.end > elements ||
        range.end - range.begin != static_cast<std::uint64_t>(destination.view.elements())) {
      throw std::logic_error(fmt::format("'{}' is to be read into {}", destination.name,
                                         destination.view.shape().text()));
    }
    if (range.begin == range.end) continue;
    fill_destination(destination, [&](const kernels::View& view) {
      read_common_range(tensor, {0, elements}, range, view,
                        fmt::format("{}: '{}'", checkpoint.string(), destination.name));
    });
    forget_mapped(tensor.bytes);
  }
}

}  // namespace ovid::checkpoint
