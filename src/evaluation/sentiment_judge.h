#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "src/evaluation/interval.h"

// Tells negative reviews from positive ones, to judge whether a model wrote what it was asked for.
namespace ovid::evaluation {

// The distinct unigrams and bigrams of a text, as numbers.
using Features = std::vector<std::int32_t>;
std::vector<const Features*> pointers_to(std::span<const Features> texts);

// Numbers the features of texts. Words are runs of ASCII letters, digits, apostrophes and bytes
// beyond ASCII, in lower case.
class FeatureIndex {
 public:
  // Sorted, each once. Features that are new get a number with `grow`, and are left out without.
  Features features_of(std::string_view text, bool grow);
  std::int64_t size() const { return static_cast<std::int64_t>(numbers_.size()); }

 private:
  std::unordered_map<std::string, std::int32_t> numbers_;
};

// Multinomial naive Bayes over whether a feature is there (Wang & Manning 2012, "Baselines and
// bigrams": on short texts better than its counts), add-one smoothing, and both classes made equal:
// no prior, and the counts of the class that has more are scaled down to the other's, so that
// smoothing weighs on both alike. What bias is left goes by a threshold (balanced_threshold).
class SentimentJudge {
 public:
  // `features` bounds the numbers in the texts. Each class needs a text.
  SentimentJudge(std::span<const Features* const> negative,
                 std::span<const Features* const> positive, std::int64_t features);

  // log p(text | positive) - log p(text | negative) less the threshold: above 0 for positive. 0
  // where the text has no known feature.
  double log_odds(const Features& text) const;

  void set_threshold(double threshold) { threshold_ = threshold; }

 private:
  std::vector<double> weights_;  // of each feature
  double threshold_ = 0;
};

// Where to part scores so that both classes are called right equally often, or as nearly as can be:
// halfway between two neighbouring scores, the lowest such place. 0 where either class is empty.
double balanced_threshold(std::span<const double> negative, std::span<const double> positive);

// Shares of human texts that judges trained on the other folds call right, by one threshold that
// balances all of them.
struct JudgeAccuracy {
  Share negative, positive;
  double threshold = 0;
  double balanced() const { return (negative.value() + positive.value()) / 2; }
};

// `folds` of 2 and above, at most as many as the smaller class has texts; text i of a class is in
// fold i mod folds. Throws std::invalid_argument otherwise.
JudgeAccuracy cross_validated(std::span<const Features> negative,
                              std::span<const Features> positive, std::int64_t features,
                              std::size_t folds);

// A text written to order, and whether the judge agrees. An undecided one (log odds of 0) is wrong.
struct JudgedText {
  Features features;
  bool asked_positive = false;
};
Share agreement(const SentimentJudge& judge, std::span<const JudgedText> texts);

// Agreement where both the judge's training texts and the judged texts are drawn anew with
// replacement, `repeats` times (Efron 1979): how far the share moves with another judge and other
// samples. Each judge's threshold balances the texts that it did not learn from. Drawn by (seed,
// repeat) alone.
struct Bootstrap {
  std::span<const Features> negative, positive;
  std::span<const JudgedText> judged;
  std::int64_t features = 0;
  std::uint64_t seed = 0;
  int repeats = 200;
};
Interval bootstrap_agreement(const Bootstrap& bootstrap);

}  // namespace ovid::evaluation
