#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/view.h"
#include "src/checkpoint/safetensors.h"
#include "src/core/file.h"
#include "src/model/model_config.h"

namespace ovid::kernels::cuda {
class Device;
}

// A directory in the layout of Hugging Face's GPT-2: config.json beside model.safetensors, or
// beside the files that model.safetensors.index.json names.
namespace ovid::checkpoint {

// Reads config.json. An absent tie_word_embeddings means tied, an absent activation or dropout
// GPT-2's default. Throws CheckpointError for values out of range, and for every setting under
// which transformers would compute something else than Ovid (another model_type or activation, an
// inner width other than 4 C, other attention scales, cross attention, quantised weights).
model::ModelConfig read_model_config(const Path& directory);

// The id of the token that config.json says ends a text (eos_token_id, the first of several);
// nothing where it says none. Throws CheckpointError where there is no config.json.
std::optional<std::int64_t> read_end_of_text(const Path& directory);

// The text of a config.json that transformers 4 and 5 load as GPT2LMHeadModel, of weights in
// `dtype`. Without `end_of_text` (the id of <|endoftext|>) it is 50256 where the vocabulary reaches
// so far, otherwise null.
std::string model_config_json(const model::ModelConfig& config,
                              std::optional<std::int64_t> end_of_text = std::nullopt,
                              kernels::DType dtype = kernels::DType::kFloat32);

// Replaces config.json in `directory` with that text.
void write_model_config(const Path& directory, const model::ModelConfig& config,
                        std::optional<std::int64_t> end_of_text = std::nullopt);

// Where a parameter goes: its Hugging Face name with prefix ("transformer.h.0.attn.c_attn.weight",
// "lm_head.weight") and a float32 view in host memory, or in that of `device`.
struct NamedDestination {
  std::string name;
  kernels::View view;
  kernels::cuda::Device* device = nullptr;
};

// Fills every destination from the directory's safetensors. Accepts names with and without
// "transformer."; drops the causal masks h.*.attn.bias and h.*.attn.masked_bias. Without a
// destination "lm_head.weight" the head is tied: a stored one must equal wte, bit for bit.
// Destinations are written only after all names, shapes and dtypes were found right. Throws
// CheckpointError with all missing, unknown and misshapen tensors.
void read_parameters(const Path& directory, std::span<const NamedDestination> destinations);

// Whether the directory holds exactly the tensors of `config`, found from names and shapes alone:
// throws CheckpointError as read_parameters does. Call it before memory is taken for a model whose
// sizes come from a file.
void check_parameters(const Path& directory, const model::ModelConfig& config);

// Name (with prefix) and shape of every tensor of such a model, in the order of the forward pass;
// lm_head.weight only where the head is not tied.
struct TensorSpecification {
  std::string name;
  kernels::Shape shape;
};
std::vector<TensorSpecification> gpt2_tensors(const model::ModelConfig& config);

}  // namespace ovid::checkpoint
