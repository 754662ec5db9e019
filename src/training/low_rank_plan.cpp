#include "src/training/low_rank_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "src/core/error.h"
#include "src/model/parameters.h"

namespace ovid::training {

void add_adapters(const config::LoraSection& lora, model::ModelConfig& model) {
  if (lora.rank == 0) return;
  // Of W (C, C) and of those of C rows or columns; all others have more.
  if (lora.rank > model.width) {
    throw UsageError(fmt::format(
        "lora.rank = {} exceeds the model's width of {}, the rank of its linears: their adapters "
        "would be larger than they are; use 4 to 64",
        lora.rank, model.width));
  }
  for (const model::TensorDescription& tensor : model::describe_tensors(model)) {
    model.frozen.push_back(tensor.name);
  }
  std::sort(model.frozen.begin(), model.frozen.end());
  const auto adapts = [&](std::string_view linear) {
    return std::any_of(lora.targets.begin(), lora.targets.end(),
                       [&](const std::string& t) { return t == linear || t == "all"; });
  };
  model.low_rank = {.rank = lora.rank,
                    .alpha = lora.alpha,
                    .qkv = adapts("attn.c_attn"),
                    .projection = adapts("attn.c_proj"),
                    .expand = adapts("mlp.c_fc"),
                    .contract = adapts("mlp.c_proj")};
}

model::ModelConfig without_adapters(model::ModelConfig model) {
  if (model.low_rank.rank == 0) return model;
  model.low_rank = {};
  model.frozen.clear();
  return model;
}

}  // namespace ovid::training
