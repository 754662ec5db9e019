#include <fmt/format.h>

#include <optional>

#include "src/checkpoint/hugging_face_model.h"
#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/generate_output.h"
#include "src/cli/generate_prompts.h"
#include "src/cli/generate_review.h"
#include "src/cli/sampling_options.h"
#include "src/cli/stop_request.h"
#include "src/core/log.h"
#include "src/generation/generator.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/utf8.h"
#include "src/training/parameter_files.h"

namespace ovid::cli {
namespace {

std::optional<tokenizer::Tokenizer> load_tokenizer(const std::string& model, bool needed) {
  const auto where = training::find_tokenizer(model);
  if (!where) {
    if (!needed) return std::nullopt;
    throw CheckpointError(fmt::format(
        "{} has no tokenizer (vocab.json and merges.txt): give --prompt-ids without --stop, or "
        "copy the tokenizer's files there",
        model));
  }
  try {
    return tokenizer::Tokenizer::load(where->string());
  } catch (const DataError& e) {
    if (needed) throw;
    log::warning(fmt::format("no text, only ids: {}", e.what()));
    return std::nullopt;
  }
}

void check_input(const GenerateOptions& options) {
  const int inputs = (options.prompt ? 1 : 0) + (options.prompt_ids.empty() ? 0 : 1) +
                     (options.prompts.empty() ? 0 : 1) + (options.stars ? 1 : 0);
  if (inputs != 1) {
    throw UsageError(
        "give one of --prompt TEXT, --prompts FILE, --prompt-ids 1,2,3, and --stars with "
        "--category");
  }
  if (!options.stars && !(options.category.empty() && options.headline.empty()))
    throw UsageError("--category and --headline are about a review: give --stars 1 to 5 too");
  if (options.jsonl && options.prompts.empty())
    throw UsageError("--jsonl is about the file of --prompts: give one, or leave --jsonl out");
  constexpr std::size_t kMostStops = 64;
  if (options.stop.size() > kMostStops) {
    throw UsageError(fmt::format("{} stop strings are more than {}; give fewer",
                                 options.stop.size(), kMostStops));
  }
  for (const std::string& stop : options.stop) {
    if (!tokenizer::find_invalid_utf8(stop)) continue;
    throw UsageError(fmt::format(
        "a --stop text of {} bytes is not UTF-8, and so never part of a text; write it as UTF-8",
        stop.size()));
  }
  const generation::StopText refuses_lengths(options.stop);
}

generation::SamplingSettings sampling_of(const GenerateOptions& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty,
          .seed = options.seed ? *options.seed : drawn_seed()};
}

void check_numbers(const GenerateOptions& options) {
  const auto check = [](const char* option, std::int64_t value, std::int64_t least,
                        std::int64_t most, const char* hint) {
    if (value >= least && value <= most) return;
    throw UsageError(fmt::format("{} {} is outside {} to {}{}", option, value, least, most, hint));
  };
  constexpr std::int64_t kMany = 1'000'000;
  check("--samples", options.samples, 0, kMany, "; 0 goes on without end");
  check("--batch", options.batch, 0, kMany, "; 0 chooses it");
  check("--max-new-tokens", options.max_new_tokens.value_or(1), 1, 100 * kMany, "");
}

std::vector<Prompt> prompts_of(const GenerateOptions& options,
                               const tokenizer::Tokenizer* tokenizer) {
  if (options.stars)
    return {review_prompt(options, *tokenizer, *training::find_tokenizer(options.model))};
  std::vector<Prompt> prompts = read_prompts(options, tokenizer);
  if (options.samples == 0 && prompts.size() > 1) {
    throw UsageError(
        fmt::format("--samples 0 goes on with one prompt without end, but there are {}; give one",
                    prompts.size()));
  }
  return prompts;
}

std::int64_t most_new_tokens(const GenerateOptions& options) {
  constexpr std::int64_t kUsual = 64, kOfReview = 256;
  return options.max_new_tokens.value_or(options.stars ? kOfReview : kUsual);
}

}  // namespace

ExitCode run_generate(const GenerateOptions& options) {
  check_input(options);
  check_numbers(options);
  const generation::SamplingSettings sampling = sampling_of(options);
  check_sampling(sampling);
  const bool needs_text = options.prompt_ids.empty() || !options.stop.empty();
  const std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(options.model, needs_text);
  const std::vector<Prompt> prompts = prompts_of(options, tokenizer ? &*tokenizer : nullptr);
  const memory::OpenTarget open = open_target(options.device);
  const training::LoadedModel model = training::load_model(options.model, open.target);
  const auto vocabulary = static_cast<std::int32_t>(model.config.vocabulary_size);
  std::optional<std::int32_t> end;
  if (tokenizer && tokenizer->end_of_text() < vocabulary) end = tokenizer->end_of_text();
  if (!options.json) log::info(fmt::format("seed {0} (--seed {0} repeats this)", sampling.seed));

  GenerateOutput output({.options = options,
                         .prompts = prompts,
                         .tokenizer = tokenizer ? &*tokenizer : nullptr,
                         .end_of_text = end,
                         .seed = sampling.seed});
  std::vector<std::vector<std::int32_t>> ids;
  for (const Prompt& prompt : prompts) ids.push_back(prompt.ids);
  std::optional<StopRequest> stop;
  if (options.samples == 0) stop.emplace();
  generation::generate(
      {.config = model.config, .weights = model.weights.views(), .target = open.target}, ids,
      {.sampling = sampling,
       .max_new_tokens = most_new_tokens(options),
       .samples = options.samples == 0 ? generation::kEndless : options.samples,
       .end_of_text = end,
       .batch = options.batch},
      {.on_token = [&](const generation::Sample& s) { return output.add_token(s); },
       .on_sample = [&](const generation::Sample& s) { output.finish(s); },
       .should_stop = [&] { return stop && stop->arrived(); }});
  return ExitCode::kDone;
}

}  // namespace ovid::cli
