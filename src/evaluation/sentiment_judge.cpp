#include "src/evaluation/sentiment_judge.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "kernels/common/random.h"

namespace ovid::evaluation {
namespace {

bool is_word_byte(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'' || c >= 0x80;
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (is_word_byte(static_cast<unsigned char>(c))) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::vector<double> counts_of(std::span<const Features* const> texts, std::int64_t features) {
  std::vector<double> counts(static_cast<std::size_t>(features), 0.0);
  for (const Features* text : texts) {
    for (const std::int32_t feature : *text) ++counts[static_cast<std::size_t>(feature)];
  }
  return counts;
}

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

// Places in [0, count), `count` of them, with replacement.
std::vector<std::size_t> draw_again(std::size_t count, const kernels::RandomStream& stream) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < count; ++i) {
    const kernels::Philox4x32 words = kernels::random_words(stream, i);
    const double place = kernels::uniform_double(words[0], words[1]) * static_cast<double>(count);
    places.push_back(std::min(static_cast<std::size_t>(place), count - 1));
  }
  return places;
}

// Texts drawn with replacement, and those that were not.
struct Drawn {
  std::vector<const Features*> texts, left_out;
};

Drawn draw_texts(std::span<const Features> texts, const kernels::RandomStream& stream) {
  Drawn drawn;
  std::vector<bool> taken(texts.size(), false);
  for (const std::size_t place : draw_again(texts.size(), stream)) {
    drawn.texts.push_back(&texts[place]);
    taken[place] = true;
  }
  for (std::size_t i = 0; i < texts.size(); ++i)
    if (!taken[i]) drawn.left_out.push_back(&texts[i]);
  return drawn;
}

std::vector<double> scores_of(const SentimentJudge& judge, std::span<const Features* const> texts) {
  std::vector<double> scores;
  for (const Features* text : texts) scores.push_back(judge.log_odds(*text));
  return scores;
}

Share above(std::span<const double> scores, double threshold) {
  Share share{.hits = 0, .trials = std::ssize(scores)};
  for (const double score : scores) share.hits += score > threshold ? 1 : 0;
  return share;
}

bool agrees(const SentimentJudge& judge, const Features& text, bool positive) {
  const double odds = judge.log_odds(text);
  return positive ? odds > 0 : odds < 0;
}

}  // namespace

std::vector<const Features*> pointers_to(std::span<const Features> texts) {
  std::vector<const Features*> all;
  for (const Features& text : texts) all.push_back(&text);
  return all;
}

Features FeatureIndex::features_of(std::string_view text, bool grow) {
  Features features;
  const auto add = [&](const std::string& feature) {
    const auto found = numbers_.find(feature);
    if (found != numbers_.end()) return features.push_back(found->second);
    if (!grow) return;
    const auto number = static_cast<std::int32_t>(numbers_.size());
    numbers_.emplace(feature, number);
    features.push_back(number);
  };
  const std::vector<std::string> words = words_of(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    add(words[i]);
    if (i > 0) add(words[i - 1] + " " + words[i]);
  }
  std::sort(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end()), features.end());
  return features;
}

SentimentJudge::SentimentJudge(std::span<const Features* const> negative,
                               std::span<const Features* const> positive, std::int64_t features) {
  const std::vector<double> n = counts_of(negative, features), p = counts_of(positive, features);
  const double mass_n = sum_of(n), mass_p = sum_of(p);
  const double mass = std::min(mass_n, mass_p);
  const double scale_n = mass_n > 0 ? mass / mass_n : 0, scale_p = mass_p > 0 ? mass / mass_p : 0;
  // Both classes have the same mass now, so the denominators of the smoothed shares cancel.
  for (std::size_t i = 0; i < n.size(); ++i)
    weights_.push_back(std::log(p[i] * scale_p + 1) - std::log(n[i] * scale_n + 1));
}

double SentimentJudge::log_odds(const Features& text) const {
  double odds = 0;
  for (const std::int32_t feature : text) odds += weights_[static_cast<std::size_t>(feature)];
  return text.empty() ? 0 : odds - threshold_;
}

double balanced_threshold(std::span<const double> negative, std::span<const double> positive) {
  if (negative.empty() || positive.empty()) return 0;
  std::vector<double> places(negative.begin(), negative.end());
  places.insert(places.end(), positive.begin(), positive.end());
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  double best = places.front(), best_difference = 2;
  std::vector<double> low(negative.begin(), negative.end()), high(positive.begin(), positive.end());
  std::sort(low.begin(), low.end());
  std::sort(high.begin(), high.end());
  for (std::size_t i = 0; i + 1 < places.size(); ++i) {
    const double place = (places[i] + places[i + 1]) / 2;
    const auto below = [&](const std::vector<double>& sorted) {
      const auto end = std::lower_bound(sorted.begin(), sorted.end(), place);
      return static_cast<double>(end - sorted.begin()) / static_cast<double>(sorted.size());
    };
    const double difference = std::abs(below(low) - (1 - below(high)));
    if (difference >= best_difference) continue;
    best_difference = difference;
    best = place;
  }
  return best;
}

JudgeAccuracy cross_validated(std::span<const Features> negative,
                              std::span<const Features> positive, std::int64_t features,
                              std::size_t folds) {
  if (folds < 2 || folds > std::min(negative.size(), positive.size()))
    throw std::invalid_argument("cross-validation needs 2 folds and a text of each class in each");
  const auto others = [&](std::span<const Features> texts, std::size_t fold) {
    std::vector<const Features*> all;
    for (std::size_t i = 0; i < texts.size(); ++i)
      if (i % folds != fold) all.push_back(&texts[i]);
    return all;
  };
  std::vector<double> of_negative, of_positive;  // each by a judge that never saw the text
  for (std::size_t fold = 0; fold < folds; ++fold) {
    const SentimentJudge judge(others(negative, fold), others(positive, fold), features);
    for (std::size_t i = fold; i < negative.size(); i += folds)
      of_negative.push_back(judge.log_odds(negative[i]));
    for (std::size_t i = fold; i < positive.size(); i += folds)
      of_positive.push_back(judge.log_odds(positive[i]));
  }
  const double threshold = balanced_threshold(of_negative, of_positive);
  const Share wrong = above(of_negative, threshold);
  return {.negative = {wrong.trials - wrong.hits, wrong.trials},
          .positive = above(of_positive, threshold),
          .threshold = threshold};
}

Share agreement(const SentimentJudge& judge, std::span<const JudgedText> texts) {
  Share share{.hits = 0, .trials = static_cast<std::int64_t>(texts.size())};
  for (const JudgedText& text : texts)
    share.hits += agrees(judge, text.features, text.asked_positive) ? 1 : 0;
  return share;
}

Interval bootstrap_agreement(const Bootstrap& bootstrap) {
  std::vector<double> shares;
  if (bootstrap.judged.empty()) return {0.0, 1.0};
  for (int repeat = 0; repeat < bootstrap.repeats; ++repeat) {
    const auto stream = [&](std::uint32_t minor) {
      return kernels::RandomStream{.seed = bootstrap.seed,
                                   .use = kernels::RandomUse::kShuffle,
                                   .major = static_cast<std::uint64_t>(repeat),
                                   .minor = minor};
    };
    const Drawn negative = draw_texts(bootstrap.negative, stream(0));
    const Drawn positive = draw_texts(bootstrap.positive, stream(1));
    SentimentJudge judge(negative.texts, positive.texts, bootstrap.features);
    judge.set_threshold(balanced_threshold(scores_of(judge, negative.left_out),
                                           scores_of(judge, positive.left_out)));
    Share share;
    for (const std::size_t place : draw_again(bootstrap.judged.size(), stream(2))) {
      const JudgedText& text = bootstrap.judged[place];
      share.hits += agrees(judge, text.features, text.asked_positive) ? 1 : 0;
      ++share.trials;
    }
    shares.push_back(share.value());
  }
  return middle_interval(shares);
}

}  // namespace ovid::evaluation
