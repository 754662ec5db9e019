#include <fmt/format.h>

#include "src/checkpoint/hugging_face_model.h"

namespace ovid::checkpoint {

std::vector<TensorSpecification> gpt2_tensors(const model::ModelConfig& config) {
  const std::int64_t C = config.width;
  std::vector<TensorSpecification> tensors = {
      {"transformer.wte.weight", {config.vocabulary_size, C}},
      {"transformer.wpe.weight", {config.context_length, C}},
  };
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto add = [&](const char* name, kernels::Shape shape) {
      tensors.push_back({fmt::format("transformer.h.{}.{}", layer, name), shape});
    };
    add("ln_1.weight", {C});
    add("ln_1.bias", {C});
    add("attn.c_attn.weight", {C, 3 * C});
    add("attn.c_attn.bias", {3 * C});
    add("attn.c_proj.weight", {C, C});
    add("attn.c_proj.bias", {C});
    add("ln_2.weight", {C});
    add("ln_2.bias", {C});
    add("mlp.c_fc.weight", {C, 4 * C});
    add("mlp.c_fc.bias", {4 * C});
    add("mlp.c_proj.weight", {4 * C, C});
    add("mlp.c_proj.bias", {C});
  }
  tensors.push_back({"transformer.ln_f.weight", {C}});
  tensors.push_back({"transformer.ln_f.bias", {C}});
  if (!config.tied_head) tensors.push_back({"lm_head.weight", {config.vocabulary_size, C}});
  return tensors;
}

}  // namespace ovid::checkpoint
