#include "src/generation/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "src/core/error.h"
#include "src/generation/decoder.h"

namespace ovid::generation {
namespace {

// Sequences decoded together: more share each read of the weights, and take more memory for keys
// and values.
constexpr std::int64_t kGroup = 8;

struct Sequence {
  Sample sample;
  std::vector<std::int32_t> tokens;  // prompt and new ones
  std::int64_t window_begin = 0;     // the token at position 0 of the cache
  std::int64_t decoded = 0;          // tokens in the cache, counted from window_begin
  bool done = false;
};

class Group {
 public:
  Group(Decoder& decoder, Sampler& sampler, const GenerationSettings& settings,
        std::span<const std::int32_t> prompt, std::int64_t first, std::int64_t count)
      : decoder_(decoder), sampler_(sampler), settings_(settings) {
    for (std::int64_t i = 0; i < count; ++i) {
      Sequence s;
      s.sample.number = settings.first_sample + first + i;
      s.tokens.assign(prompt.begin(), prompt.end());
      move_window(s);
      sequences_.push_back(std::move(s));
    }
    share_prompt();
  }

  void run(const TokenCallback& on_token) {
    while (decode_new_tokens()) draw(on_token);
  }

  std::vector<Sequence>& sequences() { return sequences_; }

 private:
  void move_window(Sequence& s) const {
    const std::int64_t P = decoder_.config().context_length;
    const auto size = static_cast<std::int64_t>(s.tokens.size());
    if (size - s.window_begin <= P) return;
    s.window_begin = size - std::max<std::int64_t>(P / 2, 1);
    s.decoded = 0;
  }

  // All but the last token of the prompt is the same for every sequence: decoded once, then copied.
  void share_prompt() {
    Sequence& first = sequences_.front();
    const auto shared = static_cast<std::int64_t>(first.tokens.size()) - first.window_begin - 1;
    if (shared <= 0) return;
    rows_.clear();
    append_rows(0, shared);
    decoder_.decode(rows_, wanted());
    for (std::size_t i = 1; i < sequences_.size(); ++i) {
      decoder_.copy_cache(0, static_cast<std::int64_t>(i), shared);
    }
    for (Sequence& s : sequences_) s.decoded = shared;
  }

  void append_rows(std::size_t i, std::int64_t end) {
    const Sequence& s = sequences_[i];
    for (std::int64_t p = s.decoded; p < end; ++p) {
      rows_.push_back({.sequence = static_cast<std::int32_t>(i),
                       .position = static_cast<std::int32_t>(p),
                       .token = s.tokens[static_cast<std::size_t>(s.window_begin + p)]});
    }
  }

  // Logits are wanted after the newest token of each sequence only.
  std::span<const bool> wanted() {
    wanted_.reset(new bool[rows_.size()]);
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const Sequence& s = sequences_[static_cast<std::size_t>(rows_[r].sequence)];
      wanted_[r] =
          s.window_begin + rows_[r].position + 1 == static_cast<std::int64_t>(s.tokens.size());
    }
    return {wanted_.get(), rows_.size()};
  }

  bool decode_new_tokens() {
    rows_.clear();
    for (std::size_t i = 0; i < sequences_.size(); ++i) {
      Sequence& s = sequences_[i];
      if (s.done || static_cast<std::int64_t>(s.sample.tokens.size()) >= settings_.max_new_tokens)
        continue;
      move_window(s);
      const auto end = static_cast<std::int64_t>(s.tokens.size()) - s.window_begin;
      append_rows(i, end);
      s.decoded = end;
    }
    if (rows_.empty()) return false;
    decoder_.decode(rows_, wanted());
    return true;
  }

  void draw(const TokenCallback& on_token) {
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      if (!wanted_[r]) continue;
      Sequence& s = sequences_[static_cast<std::size_t>(rows_[r].sequence)];
      const auto position = static_cast<std::int64_t>(s.tokens.size());
      const std::int32_t token = sampler_.draw(decoder_.logits(r), s.sample.number, position);
      s.tokens.push_back(token);
      s.sample.tokens.push_back(token);
      if (settings_.end_of_text == token) {
        s.sample.finish_reason = FinishReason::kStop;
        s.done = true;
      }
      if (on_token) on_token(s.sample.number, token);
    }
  }

  Decoder& decoder_;
  Sampler& sampler_;
  const GenerationSettings& settings_;
  std::vector<Sequence> sequences_;
  std::vector<DecoderRow> rows_;
  std::unique_ptr<bool[]> wanted_;
};

void check_prompt(std::span<const std::int32_t> prompt, std::int64_t vocabulary_size) {
  if (prompt.empty()) throw UsageError("the prompt has no token: give a text or token ids");
  for (const std::int32_t token : prompt) {
    if (token < 0 || token >= vocabulary_size) {
      throw UsageError(fmt::format("token {} of the prompt is outside the model's vocabulary of {}",
                                   token, vocabulary_size));
    }
  }
}

}  // namespace

const char* name_of(FinishReason reason) {
  return reason == FinishReason::kStop ? "stop" : "length";
}

std::vector<Sample> generate(const model::ModelConfig& config,
                             const model::ModelParameters<model::View>& weights,
                             std::span<const std::int32_t> prompt,
                             const GenerationSettings& settings, kernels::DeviceKind device,
                             int threads, const TokenCallback& on_token) {
  check_prompt(prompt, config.vocabulary_size);
  Decoder decoder(config, weights, std::min(kGroup, settings.samples), device, threads);
  Sampler sampler(settings.sampling);
  std::vector<Sample> samples;
  for (std::int64_t first = 0; first < settings.samples; first += kGroup) {
    const std::int64_t count = std::min(kGroup, settings.samples - first);
    Group group(decoder, sampler, settings, prompt, first, count);
    group.run(on_token);
    for (Sequence& s : group.sequences()) samples.push_back(std::move(s.sample));
  }
  return samples;
}

}  // namespace ovid::generation
