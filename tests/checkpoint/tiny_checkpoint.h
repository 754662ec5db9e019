#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"

namespace ovid::checkpoint {

// The smallest GPT-2 whose tensors all have different shapes where they can.
model::ModelConfig tiny_config(bool tied_head = true);

// Owns the tensors of a checkpoint; the values are a function of (step, generation), so that a test
// knows what a file must hold.
class TinyCheckpoint {
 public:
  TinyCheckpoint(std::int64_t step, int generation, bool tied_head = true);

  const CheckpointContent& content() const { return content_; }
  CheckpointContent& content() { return content_; }
  const std::map<std::string, std::vector<float>>& parameters() const { return parameters_; }
  const std::map<std::string, std::vector<float>>& optimizer() const { return optimizer_; }

 private:
  std::map<std::string, std::vector<float>> parameters_;
  std::map<std::string, std::vector<float>> optimizer_;
  CheckpointContent content_;
};

// Buffers for the tensors of a configuration, filled with a value that no test writes.
struct Buffers {
  explicit Buffers(const std::vector<TensorSpecification>& tensors);
  std::map<std::string, std::vector<float>> values;
  std::vector<NamedDestination> destinations;
};

// Whether a checkpoint directory verifies and holds exactly the tiny checkpoint of (step,
// generation).
bool holds(const Path& checkpoint, std::int64_t step, int generation);

// Names in a folder, sorted.
std::vector<std::string> names_in(const Path& directory);

}  // namespace ovid::checkpoint
