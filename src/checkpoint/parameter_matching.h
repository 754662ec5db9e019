#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/model_tensors.h"

namespace ovid::checkpoint {

// Which stored tensor belongs to which wanted one (by its index), and everything that does not fit.
struct ParameterMatch {
  std::vector<const StoredTensor*> stored;  // one for each wanted tensor; null where it is missing
  std::vector<std::string>
      problems;  // missing, unknown, twice, of another shape or unreadable dtype
};

// Compares a model's tensors with the wanted ones. Without a wanted "lm_head.weight" a stored head
// must equal the stored wte byte for byte.
ParameterMatch match_parameters(const ModelTensors& tensors,
                                const std::vector<TensorSpecification>& wanted);

// Throws CheckpointError of all problems, at most 20 of them in words, where there are any.
void refuse_problems(const std::string& subject, const std::vector<std::string>& problems);

}  // namespace ovid::checkpoint
