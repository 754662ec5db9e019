#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <random>

#include "src/checkpoint/hugging_face_model.h"
#include "src/cli/commands.h"
#include "src/cli/device_options.h"
#include "src/cli/generate_output.h"
#include "src/cli/generate_prompts.h"
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
                     (options.prompts.empty() ? 0 : 1);
  if (inputs != 1)
    throw UsageError("give one of --prompt TEXT, --prompts FILE and --prompt-ids 1,2,3");
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

void check_numbers(const GenerateOptions& options) {
  const auto check = [](const char* option, auto value, auto least, auto most, const char* hint) {
    if (value >= least && value <= most) return;
    throw UsageError(fmt::format("{} {} is outside {} to {}{}", option, value, least, most, hint));
  };
  check("--temperature", options.temperature, 0.0, 1e6,
        "; 0 is greedy, 1 the model's own distribution");
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    throw UsageError(
        fmt::format("--top-p {} is outside (0, 1]; 1 keeps all tokens", options.top_p));
  }
  check("--min-p", options.min_p, 0.0, 1.0, "; 0 keeps all tokens");
  check("--repetition-penalty", options.repetition_penalty, 0.01, 100.0,
        "; 1 is off, 1.2 a usual value");
  constexpr std::int64_t kMany = 1'000'000;
  check("--top-k", options.top_k, std::int64_t{0}, std::int64_t{65536}, "; 0 keeps all tokens");
  check("--samples", options.samples, std::int64_t{1}, kMany, "");
  check("--batch", options.batch, std::int64_t{0}, kMany, "; 0 chooses it");
  check("--max-new-tokens", options.max_new_tokens, std::int64_t{1}, 100 * kMany, "");
}

std::uint64_t drawn_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 21) ^
         device();  // below 2^53: exact in any JSON reader
}

}  // namespace

ExitCode run_generate(const GenerateOptions& options) {
  check_input(options);
  check_numbers(options);
  const bool needs_text = options.prompt_ids.empty() || !options.stop.empty();
  const std::optional<tokenizer::Tokenizer> tokenizer = load_tokenizer(options.model, needs_text);
  const std::vector<Prompt> prompts = read_prompts(options, tokenizer ? &*tokenizer : nullptr);
  const memory::OpenTarget open = open_target(options.device);
  const training::LoadedModel model = training::load_model(options.model, open.target);
  const auto vocabulary = static_cast<std::int32_t>(model.config.vocabulary_size);
  std::optional<std::int32_t> end;
  if (tokenizer && tokenizer->end_of_text() < vocabulary) end = tokenizer->end_of_text();
  const std::uint64_t seed = options.seed ? *options.seed : drawn_seed();
  if (!options.json) log::info(fmt::format("seed {} (--seed {} repeats this)", seed, seed));

  GenerateOutput output({.options = options,
                         .prompts = prompts,
                         .tokenizer = tokenizer ? &*tokenizer : nullptr,
                         .end_of_text = end,
                         .seed = seed});
  std::vector<std::vector<std::int32_t>> ids;
  for (const Prompt& prompt : prompts) ids.push_back(prompt.ids);
  generation::generate(
      {.config = model.config, .weights = model.weights.views(), .target = open.target}, ids,
      {.sampling = {.temperature = options.temperature,
                    .top_k = options.top_k,
                    .top_p = options.top_p,
                    .min_p = options.min_p,
                    .repetition_penalty = options.repetition_penalty,
                    .seed = seed},
       .max_new_tokens = options.max_new_tokens,
       .samples = options.samples,
       .end_of_text = end,
       .batch = options.batch},
      {.on_token = [&](const generation::Sample& s) { return output.add_token(s); },
       .on_sample = [&](const generation::Sample& s) { output.finish(s); }});
  return ExitCode::kDone;
}

}  // namespace ovid::cli
