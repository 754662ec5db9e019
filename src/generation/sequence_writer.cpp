#include "src/generation/sequence_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "src/core/error.h"

namespace ovid::generation {

SequenceWriter::SequenceWriter(const GenerationModel& model)
    : decoder_(model.config, model.weights, DecoderCapacity(1), model.target) {}

void SequenceWriter::check(const SequenceRequest& request) const {
  const auto size = static_cast<std::int64_t>(request.prompt.size());
  if (size == 0) throw UsageError("a prompt has no token: give at least <|endoftext|>");
  if (request.max_new_tokens < 1)
    throw UsageError(fmt::format("{} new tokens are too few; 1 is least", request.max_new_tokens));
  if (size > context_length() || request.max_new_tokens > context_length() - size) {
    throw UsageError(
        fmt::format("a prompt of {} tokens and {} new ones are more than the model's context of {}",
                    size, request.max_new_tokens, context_length()));
  }
  const std::int64_t vocabulary = decoder_.config().vocabulary_size;
  for (const std::int32_t token : request.prompt) {
    if (token >= 0 && token < vocabulary) continue;
    throw UsageError(fmt::format(
        "token {} of the prompt is outside the model's vocabulary of {}: the tokenizer is of "
        "another model",
        token, vocabulary));
  }
}

std::span<const float> SequenceWriter::decode(std::span<const std::int32_t> tokens) {
  std::vector<DecoderRow> rows;
  for (const std::int32_t token : tokens) {
    rows.push_back(
        {.sequence = 0, .position = static_cast<std::int32_t>(cached_.size()), .token = token});
    cached_.push_back(token);
  }
  const auto wanted = std::make_unique<bool[]>(rows.size());
  wanted[rows.size() - 1] = true;
  // Were this to throw, the cache would hold less than it says.
  std::vector<std::int32_t> cached = std::move(cached_);
  cached_.clear();
  decoder_.decode(rows, {wanted.get(), rows.size()});
  cached_ = std::move(cached);
  return decoder_.logits(rows.size() - 1);
}

WrittenSequence SequenceWriter::write(const SequenceRequest& request,
                                      const std::function<AfterToken(std::int32_t)>& on_token) {
  check(request);
  const std::vector<std::int32_t>& prompt = request.prompt;
  const auto differs = std::mismatch(cached_.begin(), cached_.end(), prompt.begin(), prompt.end());
  // The last token is always computed: its logits are wanted.
  const auto shared = std::min<std::size_t>(
      static_cast<std::size_t>(differs.first - cached_.begin()), prompt.size() - 1);
  WrittenSequence written;
  written.reused = static_cast<std::int64_t>(shared);
  cached_.resize(shared);
  Sampler sampler(request.sampling);
  std::vector<std::int32_t> tokens = prompt, seen;
  const auto see = [&](std::int32_t token) {
    if (request.sampling.repetition_penalty == 1.0) return;
    if (std::find(seen.begin(), seen.end(), token) == seen.end()) seen.push_back(token);
  };
  for (const std::int32_t token : prompt) see(token);
  while (static_cast<std::int64_t>(written.tokens.size()) < request.max_new_tokens) {
    std::span<const float> logits = decode(std::span(tokens).subspan(cached_.size()));
    const auto most = static_cast<std::size_t>(request.vocabulary);
    if (most > 0 && most < logits.size()) logits = logits.first(most);
    const std::int32_t next =
        sampler.draw(logits, request.number, static_cast<std::int64_t>(tokens.size()), seen);
    tokens.push_back(next);
    written.tokens.push_back(next);
    see(next);
    const auto& ends = request.end_tokens;
    bool stops = std::find(ends.begin(), ends.end(), next) != ends.end();
    if (on_token) stops |= on_token(next) == AfterToken::kStop;
    if (!stops) continue;
    written.finish_reason = FinishReason::kStop;
    break;
  }
  return written;
}

}  // namespace ovid::generation
