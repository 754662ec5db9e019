#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/distributed/communicator.h"
#include "src/evaluation/loss_evaluation.h"
#include "src/generation/generator.h"
#include "src/model/parameters.h"
#include "tests/test_files.h"

namespace ovid::test {

// A model small enough to be evaluated hundreds of times, with weights so large that each token's
// probability depends on all before it.
class TinyModel {
 public:
  explicit TinyModel(const model::ModelConfig& config, int threads = 1);
  const generation::GenerationModel& generation() const { return generation_; }

 private:
  model::ModelConfig config_;
  model::ParameterSet weights_;
  generation::GenerationModel generation_;
};

struct ShardEvaluation {
  std::string shard;
  std::int64_t length = 16, sequences = 1;  // of a window; in a pass
  std::int64_t windows = 0;
  int stop_after = 1'000'000;  // passes
  distributed::Communicator* communicator = nullptr;
};

// evaluate_loss with all that it needs around it.
evaluation::LossSum evaluate_shard(const model::ModelConfig& config,
                                   const model::ModelParameters<model::View>& weights,
                                   const ShardEvaluation& evaluation);

// The same with fresh weights of a model of 23 tokens and a context of 16.
evaluation::LossSum evaluate_shard(const ShardEvaluation& evaluation);

// `count` tokens below 23 in a headerless shard; its path.
std::string shard_of(const TemporaryDirectory& folder, std::int64_t count);

}  // namespace ovid::test
