#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>

#include "kernels/cpu/parallel_for.h"
#include "src/checkpoint/hugging_face_model.h"
#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/core/log.h"
#include "src/generation/generator.h"
#include "src/tokenizer/stream_decoder.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/parameter_files.h"

namespace ovid::cli {
namespace {

std::vector<std::int32_t> parse_ids(const std::string& text) {
  std::vector<std::int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc{} || (next < end && *next != ',')) {
      throw UsageError(fmt::format(
          "--prompt-ids {}: expected token ids parted by commas, such as 15496,995", text));
    }
    ids.push_back(id);
    at = next < end ? next + 1 : next;
  }
  return ids;
}

std::optional<tokenizer::Tokenizer> load_tokenizer(const std::string& model, bool needed) {
  const auto where = training::find_tokenizer(model);
  if (!where) {
    if (!needed) return std::nullopt;
    throw CheckpointError(fmt::format(
        "{} has no tokenizer (vocab.json and merges.txt): give --prompt-ids, or copy the "
        "tokenizer's files there",
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

std::vector<std::int32_t> encode_prompt(const GenerateOptions& options,
                                        const std::optional<tokenizer::Tokenizer>& tokenizer) {
  if (!options.prompt) return parse_ids(options.prompt_ids);
  std::vector<std::int32_t> ids =
      tokenizer->encode(*options.prompt, tokenizer::SpecialTokens::kRecognise);
  if (ids.empty()) ids.push_back(tokenizer->end_of_text());  // documents begin with it
  return ids;
}

void check(const GenerateOptions& options) {
  if (options.prompt.has_value() == !options.prompt_ids.empty()) {
    throw UsageError("give either --prompt TEXT or --prompt-ids 1,2,3");
  }
  if (!(options.temperature >= 0.0) || options.temperature > 1e6) {
    throw UsageError(fmt::format(
        "--temperature {} is outside 0 to 1e6; 0 is greedy, 1 the model's own distribution",
        options.temperature));
  }
  if (!(options.top_p > 0.0 && options.top_p <= 1.0)) {
    throw UsageError(
        fmt::format("--top-p {} is outside (0, 1]; 1 keeps all tokens", options.top_p));
  }
  if (options.top_k < 0)
    throw UsageError(fmt::format("--top-k {} is negative; 0 keeps all tokens", options.top_k));
  if (options.samples < 1 || options.samples > 1'000'000) {
    throw UsageError(fmt::format("--samples {} is outside 1 to 1000000", options.samples));
  }
  if (options.max_new_tokens < 1 || options.max_new_tokens > 100'000'000) {
    throw UsageError(
        fmt::format("--max-new-tokens {} is outside 1 to 100000000", options.max_new_tokens));
  }
}

std::uint64_t drawn_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 21) ^
         device();  // below 2^53: exact in any JSON reader
}

// Text as it is made, one sample after the other.
class TextOutput {
 public:
  TextOutput(const GenerateOptions& options, const tokenizer::Tokenizer& tokenizer,
             std::optional<std::int32_t> end)
      : options_(options), end_(end), decoder_(tokenizer) {}

  void begin(std::int64_t sample) {
    if (options_.samples > 1) print_line(fmt::format("--- sample {} ---", sample + 1));
    if (options_.prompt) print(*options_.prompt);
  }
  void token(std::int32_t token) {
    if (token != end_) print(decoder_.push(token));
  }
  void end() { print_line(decoder_.finish()); }

 private:
  const GenerateOptions& options_;
  std::optional<std::int32_t> end_;
  tokenizer::StreamDecoder decoder_;
};

std::string sample_json(const generation::Sample& sample, std::uint64_t seed,
                        const std::vector<std::int32_t>& prompt,
                        const std::optional<tokenizer::Tokenizer>& tokenizer,
                        std::optional<std::int32_t> end) {
  nlohmann::ordered_json json = {
      {"sample", sample.number}, {"seed", seed},
      {"prompt_tokens", prompt}, {"tokens", sample.tokens},
      {"text", nullptr},         {"finish_reason", generation::name_of(sample.finish_reason)}};
  if (tokenizer) {
    tokenizer::StreamDecoder decoder(*tokenizer);
    std::string text;
    for (const std::int32_t token : sample.tokens) {
      if (token != end) text += decoder.push(token);
    }
    json["text"] = text + decoder.finish();
  }
  return json.dump();
}

}  // namespace

ExitCode run_generate(const GenerateOptions& options) {
  check(options);
  const std::optional<tokenizer::Tokenizer> tokenizer =
      load_tokenizer(options.model, options.prompt.has_value());
  const std::vector<std::int32_t> prompt = encode_prompt(options, tokenizer);
  const training::LoadedModel model = training::load_model(options.model);
  const auto vocabulary = static_cast<std::int32_t>(model.config.vocabulary_size);
  std::optional<std::int32_t> end;
  if (tokenizer && tokenizer->end_of_text() < vocabulary) end = tokenizer->end_of_text();
  const std::uint64_t seed = options.seed ? *options.seed : drawn_seed();
  const int threads = options.threads > 0 ? options.threads : kernels::cpu::available_threads();
  generation::GenerationSettings settings{.sampling = {.temperature = options.temperature,
                                                       .top_k = options.top_k,
                                                       .top_p = options.top_p,
                                                       .seed = seed},
                                          .max_new_tokens = options.max_new_tokens,
                                          .end_of_text = end};
  const auto run = [&](std::int64_t first, std::int64_t count,
                       const generation::TokenCallback& on_token) {
    settings.first_sample = first;
    settings.samples = count;
    return generation::generate(model.config, model.weights.views(), prompt, settings,
                                kernels::DeviceKind::kCpu, threads, on_token);
  };
  if (!options.json) log::info(fmt::format("seed {} (--seed {} repeats this)", seed, seed));

  const bool streams = !options.json && tokenizer;
  const std::int64_t group = streams ? 1 : 8;  // a stream shows one sample at a time
  for (std::int64_t first = 0; first < options.samples; first += group) {
    const std::int64_t count = std::min(group, options.samples - first);
    if (streams) {
      TextOutput output(options, *tokenizer, end);
      output.begin(first);
      run(first, count, [&](std::int64_t, std::int32_t token) { output.token(token); });
      output.end();
      continue;
    }
    for (const generation::Sample& sample : run(first, count, nullptr)) {
      print_line(options.json ? sample_json(sample, seed, prompt, tokenizer, end)
                              : fmt::format("{}", fmt::join(sample.tokens, ",")));
    }
  }
  return ExitCode::kDone;
}

}  // namespace ovid::cli
