#include "src/evaluation/written_replies.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"
#include "src/tokenizer/stream_decoder.h"

namespace ovid::evaluation {
namespace {

std::string first_line(const tokenizer::Tokenizer& tokenizer,
                       std::span<const std::int32_t> tokens) {
  tokenizer::StreamDecoder decoder(tokenizer);
  std::string text;
  for (const std::int32_t token : tokens) {
    if (token != tokenizer.end_of_text()) text += decoder.push(token);
  }
  text += decoder.finish();
  text.resize(std::min(text.find('\n'), text.size()));
  constexpr const char* kBlanks = " \t\r";
  const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  text.erase(0, begin);
  text.erase(text.find_last_not_of(kBlanks) + 1);
  return text;
}

}  // namespace

std::vector<std::string> write_replies(const ReplyWriting& writing,
                                       std::span<const DialogueTurn> turns) {
  const std::int64_t context_length = writing.model.config.context_length;
  if (writing.max_new_tokens >= context_length) {
    throw UsageError(fmt::format(
        "--max-new-tokens {} leaves no room for a dialogue in the model's context of {}; give less",
        writing.max_new_tokens, context_length));
  }
  std::vector<std::vector<std::int32_t>> asked;
  for (const DialogueTurn& turn : turns) {
    asked.push_back(writing.layout
                        .fit(prompts::parse_context(turn.context),
                             static_cast<std::size_t>(context_length),
                             static_cast<std::size_t>(writing.max_new_tokens))
                        .tokens);
  }
  std::vector<std::string> replies(turns.size());
  std::int64_t done = 0;
  generation::generate(
      writing.model, asked,
      {.sampling = writing.sampling,
       .max_new_tokens = writing.max_new_tokens,
       .end_of_text = writing.tokenizer.end_of_text()},
      {.on_token =
           [&](const generation::Sample& sample) {
             const std::string_view bytes = writing.tokenizer.token_bytes(sample.tokens.back());
             return bytes.find('\n') != std::string_view::npos ? generation::AfterToken::kStop
                                                               : generation::AfterToken::kContinue;
           },
       .on_sample =
           [&](const generation::Sample& sample) {
             replies[static_cast<std::size_t>(sample.prompt)] =
                 first_line(writing.tokenizer, sample.tokens);
             if (writing.on_progress) writing.on_progress(++done, std::ssize(asked));
           }});
  return replies;
}

ReplyVariety measure_variety(std::span<const std::string> replies) {
  std::vector<Words> words;
  double count = 0;
  for (const std::string& reply : replies) {
    words.push_back(spaced_words(reply));
    count += static_cast<double>(words.back().size());
  }
  return {.unigrams = count_ngrams(words, 1),
          .bigrams = count_ngrams(words, 2),
          .repeated_4grams = repeated_ngrams(words, 4),
          .repeated_replies = repeated_texts(words),
          .words = replies.empty() ? 0.0 : count / static_cast<double>(replies.size())};
}

RatioTally measure_f1(std::span<const std::string> replies, std::span<const DialogueTurn> turns) {
  RatioTally tally;
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < replies.size(); ++i) {
    sum +=
        word_f1(normalised_words(replies[i]), normalised_words(turns[i].candidates[turns[i].gold]));
    ++count;
    if (i + 1 < replies.size() && turns[i + 1].dialogue == turns[i].dialogue) continue;
    tally.add(sum, count);
    sum = 0;
    count = 0;
  }
  return tally;
}

std::vector<std::string> other_replies(std::span<const DialogueTurn> turns) {
  std::vector<std::string> others;
  for (const DialogueTurn& turn : turns) {
    const auto other =
        std::find_if(turn.candidates.begin(), turn.candidates.end(),
                     [&](const std::string& text) { return text != turn.candidates[turn.gold]; });
    others.push_back(other != turn.candidates.end() ? *other : std::string());
  }
  return others;
}

}  // namespace ovid::evaluation
