#include "src/training/run_sampler.h"

#include <fmt/format.h>

#include <vector>

#include "src/generation/generator.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/training/low_rank_plan.h"

namespace ovid::training {

std::string sample_text(const RunPlan& plan, const model::ParameterSet& weights,
                        const tokenizer::Tokenizer* tokenizer) {
  const config::SamplesSection& settings = plan.config().samples;
  std::vector<std::int32_t> prompt;
  if (tokenizer != nullptr) prompt = tokenizer->encode(settings.prompt);
  if (prompt.empty()) prompt.push_back(tokenizer != nullptr ? tokenizer->end_of_text() : 0);
  const auto samples = generation::generate(
      without_adapters(plan.model), weights.views(), prompt,
      {.sampling = {.seed = plan.config().run.seed}, .max_new_tokens = settings.tokens},
      plan.target());
  std::string text;
  if (tokenizer == nullptr) {
    for (const std::int32_t token : samples.front().tokens) text += fmt::format("{} ", token);
    return text;
  }
  tokenizer::StreamDecoder decoder(*tokenizer);
  for (const std::int32_t token : samples.front().tokens) text += decoder.push(token);
  return settings.prompt + text + decoder.finish();
}

}  // namespace ovid::training
