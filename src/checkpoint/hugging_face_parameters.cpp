#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/model_tensors.h"
#include "src/checkpoint/parameter_matching.h"
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

}  // namespace ovid::checkpoint
