#include "data_tools/openwebtext/document_stages.h"

#include <limits>

#include "data_tools/filters/language.h"
#include "data_tools/filters/quality.h"
#include "data_tools/filters/repetition.h"
#include "data_tools/filters/wikipedia.h"
#include "data_tools/filters/words.h"

namespace ovid::data_tools::openwebtext {
namespace {

// A text of which more than a tenth is no UTF-8 was written in another encoding, or is no text.
constexpr std::uint64_t kLeastBytesPerReplacement = 10;

filters::QualityLimits limits_of(const StageSettings& settings) {
  filters::QualityLimits limits{.min_words = settings.min_words, .max_words = settings.max_words};
  if (settings.quality == Quality::kGopher) return limits;
  constexpr double kNone = std::numeric_limits<double>::infinity();
  limits.min_mean_word_length = 0;
  limits.max_mean_word_length = kNone;
  limits.max_symbols_per_word = kNone;
  limits.max_bullet_lines = kNone;
  limits.max_ellipsis_lines = kNone;
  limits.min_words_with_letters = 0;
  limits.min_stop_words = 0;
  limits.max_lorem_ipsum = kNone;
  limits.max_curly_brackets_per_word = kNone;
  return limits;
}

std::optional<Dropped> drop(Stage stage, const filters::Verdict& verdict) {
  if (!verdict) return std::nullopt;
  return Dropped{.stage = stage,
                 .reason = std::string(filters::name_of(verdict->reason)),
                 .figure = verdict->figure,
                 .limit = verdict->limit};
}

}  // namespace

const char* name_of(Stage stage) {
  switch (stage) {
    case Stage::kRead:
      return "read";
    case Stage::kNormalise:
      return "normalise";
    case Stage::kBoilerplate:
      return "boilerplate";
    case Stage::kLanguage:
      return "language";
    case Stage::kQuality:
      return "quality";
    case Stage::kWikipedia:
      return "wikipedia";
    case Stage::kExactDuplicates:
      return "exact_duplicates";
    case Stage::kNearDuplicates:
      return "near_duplicates";
    case Stage::kOverlap:
      return "overlap";
  }
  return "";
}

std::string excerpt_of(std::string_view text) {
  std::size_t length = std::min(text.size(), kExcerptBytes);
  while (length < text.size() && length > 0 &&
         (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) {
    --length;
  }
  return std::string(text.substr(0, length));
}

DocumentStages::DocumentStages(const StageSettings& settings, const tokenizer::Tokenizer& tokenizer,
                               overlap::EvaluationOverlap* evaluation)
    : settings_(settings), tokenizer_(tokenizer), evaluation_(evaluation) {}

std::optional<Dropped> DocumentStages::judge(std::string_view text, const std::string& url) const {
  if (settings_.english_only) {
    if (auto dropped = drop(Stage::kLanguage, filters::language_verdict(text))) return dropped;
  }
  const filters::QualityLimits limits = limits_of(settings_);
  if (auto dropped = drop(Stage::kQuality, filters::quality_verdict(text, limits))) return dropped;
  if (settings_.quality == Quality::kGopher) {
    if (auto dropped = drop(Stage::kQuality, filters::repetition_verdict(text))) return dropped;
  }
  if (!settings_.remove_wikipedia) return std::nullopt;
  return drop(Stage::kWikipedia, filters::wikipedia_verdict(text, url));
}

Outcome DocumentStages::operator()(const Item& item) {
  Outcome outcome;
  if (item.found != Found::kDocument) {
    outcome.dropped = Dropped{.stage = Stage::kRead, .reason = name_of(item.found)};
    outcome.excerpt = excerpt_of(item.text);
    return outcome;
  }
  outcome.raw_bytes = item.text.size();
  filters::NormalisedText normalised = filters::normalise(item.text);
  outcome.normalised = normalised.counts;
  outcome.normalised_bytes = normalised.text.size();
  std::string text = std::move(normalised.text);
  if (text.empty()) {
    outcome.dropped = Dropped{.stage = Stage::kNormalise, .reason = "empty"};
    return outcome;
  }
  if (outcome.normalised.invalid_utf8 * kLeastBytesPerReplacement > outcome.raw_bytes) {
    outcome.dropped = Dropped{.stage = Stage::kNormalise,
                              .reason = "not_utf8",
                              .figure = static_cast<double>(outcome.normalised.invalid_utf8),
                              .limit = static_cast<double>(outcome.raw_bytes) /
                                       static_cast<double>(kLeastBytesPerReplacement)};
    outcome.excerpt = excerpt_of(text);
    return outcome;
  }
  if (settings_.remove_boilerplate) {
    filters::WithoutBoilerplate without = filters::remove_boilerplate(text);
    outcome.lines = without.lines;
    if (without.text.empty()) {
      outcome.dropped = Dropped{.stage = Stage::kBoilerplate, .reason = "nothing_left"};
      outcome.excerpt = excerpt_of(text);
      return outcome;
    }
    text = std::move(without.text);
  }
  outcome.text_bytes = text.size();
  outcome.dropped = judge(text, item.url);
  if (outcome.dropped) {
    outcome.excerpt = excerpt_of(text);
    return outcome;
  }
  filters::hash_words(text, words_);
  outcome.hash = duplicates::hash_text(text, words_);
  outcome.signature = signatures_.from_words(words_);
  if (evaluation_ != nullptr) outcome.overlap = evaluation_->look_up(words_);
  ids_.clear();
  tokenizer_.encode_append(text, tokenizer::SpecialTokens::kAsText, cache_, ids_);
  outcome.ids.assign(ids_.begin(), ids_.end());
  return outcome;
}

}  // namespace ovid::data_tools::openwebtext
