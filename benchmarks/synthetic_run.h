#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "src/memory/open_target.h"
#include "src/training/training_step.h"

// A model and a batch made up for timing: no data, no files.
namespace ovid::benchmarks {

struct SyntheticRun {
  std::int64_t layers = 12, heads = 12, width = 768, vocabulary = 50257, batch = 4, length = 256;
  int threads = 0;                    // 0: all cores
  std::string device = "cpu";         // cpu or cuda
  std::string precision = "float32";  // of a GPU: also bfloat16 or float16
};

inline kernels::DType dtype_of(const std::string& precision) {
  if (precision == "bfloat16") return kernels::DType::kBfloat16;
  return precision == "float16" ? kernels::DType::kFloat16 : kernels::DType::kFloat32;
}

inline training::RunPlan plan_of(const SyntheticRun& o) {
  training::RunPlan plan;
  plan.model = {.layers = o.layers,
                .heads = o.heads,
                .width = o.width,
                .context_length = std::max<std::int64_t>(o.length, 1024),
                .vocabulary_size = o.vocabulary};
  plan.micro_batch = {.sequences = o.batch, .length = o.length};
  plan.compute = memory::open_target(
      {.device = o.device == "cuda" ? memory::DeviceRequest::kCuda : memory::DeviceRequest::kCpu,
       .threads = o.threads,
       .dtype = dtype_of(o.precision)});
  plan.loaded.values.batch.sequences = o.batch;
  plan.loaded.values.training.steps = 1'000'000;
  return plan;
}

// The same pseudo-random tokens in every program that is compared: a linear congruential generator
// of 31 bits.
inline data::TokenBatch synthetic_batch(const SyntheticRun& o) {
  data::TokenBatch batch{.count = o.batch, .length = o.length};
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < o.batch * o.length; ++i) {
    state = (state * 1103515245u + 12345u) & 0x7FFFFFFFu;
    batch.tokens.push_back(
        static_cast<std::int32_t>((state >> 8) % static_cast<std::uint32_t>(o.vocabulary)));
  }
  batch.targets.assign(batch.tokens.begin() + 1, batch.tokens.end());
  batch.targets.push_back(batch.tokens.front());
  return batch;
}

}  // namespace ovid::benchmarks
