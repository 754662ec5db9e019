#include <cmath>
#include <limits>

#include "src/evaluation/dialogue_scores.h"
#include "src/evaluation/figures.h"
#include "src/evaluation/interval.h"
#include "src/evaluation/sentiment_judge.h"
#include "src/evaluation/text_metrics.h"
#include "src/evaluation/written_replies.h"
#include "tests/catch.h"

namespace ovid::evaluation {
namespace {

std::vector<Words> words_of(const std::vector<std::string>& texts) {
  std::vector<Words> words;
  for (const std::string& text : texts) words.push_back(spaced_words(text));
  return words;
}

}  // namespace

TEST_CASE("word F1 counts what ParlAI counts", "[evaluation]") {
  CHECK(normalised_words("The cat's  HAT,\ta then\nan \"A\"") == Words{"cat", "s", "hat", "then"});
  CHECK(normalised_words("a the an ... ") == Words{});
  // cat sat on mat / cat sat sat: 2 in common of 4 and of 3.
  CHECK(word_f1(normalised_words("The cat sat on a mat."), normalised_words("a cat sat, sat!")) ==
        Approx(4.0 / 7));
  CHECK(word_f1({"b", "b"}, {"b"}) == Approx(2.0 / 3));  // one occurrence matches once
  CHECK(word_f1({"x"}, {"y"}) == 0);
  CHECK(word_f1({}, {"y"}) == 0);
  CHECK(word_f1({}, {}) == 0);
}

TEST_CASE("distinct-n counts over all texts, repetition within each", "[evaluation]") {
  const std::vector<Words> texts = words_of({"A b a", "a b", ""});
  CHECK(count_ngrams(texts, 1).all == 5);
  CHECK(count_ngrams(texts, 1).share() == Approx(2.0 / 5));
  CHECK(count_ngrams(texts, 2).all == 3);  // a b, b a, a b: none across two texts
  CHECK(count_ngrams(texts, 2).distinct == 2);
  CHECK(count_ngrams(texts, 4).share() == 0);
  CHECK(repeated_ngrams(texts, 1) == Approx((1.0 / 3 + 0) / 2));  // the empty text has none
  CHECK(repeated_texts(words_of({"a b", "c", "A  b", "a b"})) == Approx(0.5));
  CHECK(count_ngrams(words_of({"ab c", "a bc"}), 2).distinct == 2);
}

TEST_CASE("Wilson's interval gives Newcombe's published values", "[evaluation]") {
  const auto check = [](Share share, double low, double high) {
    const Interval interval = wilson_interval(share);
    CHECK(interval.low == Approx(low).margin(5e-5));
    CHECK(interval.high == Approx(high).margin(5e-5));
  };
  check({81, 263}, 0.2553, 0.3662);
  check({15, 148}, 0.0624, 0.1605);
  check({0, 20}, 0.0, 0.1611);
  check({1, 29}, 0.0061, 0.1718);
  check({20, 20}, 1 - 0.1611, 1.0);
  check({0, 0}, 0.0, 1.0);
}

TEST_CASE("the interval of a mean of shares adds squares of their own", "[evaluation]") {
  const Interval of_a = wilson_interval({30, 40}), of_b = wilson_interval({9, 10});
  const Interval mean = mean_interval({30, 40}, {9, 10});
  CHECK(mean.low == Approx(0.825 - std::hypot(0.75 - of_a.low, 0.9 - of_b.low) / 2));
  CHECK(mean.high == Approx(0.825 + std::hypot(of_a.high - 0.75, of_b.high - 0.9) / 2));
}

TEST_CASE("the interval of a ratio follows from the groups' residuals", "[evaluation]") {
  RatioTally tally;
  tally.add(2, 1);
  CHECK(tally.interval().low == 2);
  tally.add(4, 3);
  CHECK(tally.mean() == 1.5);
  // Residuals 0.5 and -0.5: their squares sum to 0.5, twice that is 1, over 4 units.
  CHECK(tally.interval().high == Approx(1.5 + kNormalQuantile / 4));
  std::vector<double> values;
  for (int i = 100; i >= 0; --i) values.push_back(i);
  CHECK(middle_interval(values).low == Approx(2.5));
  CHECK(middle_interval(values).high == Approx(97.5));
}

TEST_CASE("the judge weighs features as naive Bayes does by hand", "[evaluation]") {
  FeatureIndex index;
  const std::vector<Features> negative{index.features_of("Bad, bad shoe", true),
                                       index.features_of("BAD", true)};
  const std::vector<Features> positive{index.features_of("good shoe!", true)};
  CHECK(index.size() == 6);  // bad, bad bad, bad shoe, shoe, good, good shoe
  const SentimentJudge judge(pointers_to(negative), pointers_to(positive), index.size());
  const auto odds = [&](const char* text) {
    return judge.log_odds(index.features_of(text, false));
  };
  // The negative class has 5 features, the positive 3: counts of the first are scaled by 3 / 5.
  CHECK(odds("bad") == Approx(-std::log(2 * 0.6 + 1)));
  CHECK(odds("shoe") == Approx(std::log(2.0) - std::log(1.6)));
  CHECK(odds("good bad") == Approx(std::log(2.0) - std::log(2.2)));
  CHECK(odds("never seen") == 0);
  const std::vector<JudgedText> judged{{index.features_of("bad", false), false},
                                       {index.features_of("good", false), true},
                                       {index.features_of("bad", false), true},
                                       {index.features_of("unknown", false), true}};
  CHECK(agreement(judge, judged).hits == 2);  // an undecided text is wrong
}

TEST_CASE("a balanced threshold calls both classes right equally often", "[evaluation]") {
  const auto threshold = [](std::vector<double> negative, std::vector<double> positive) {
    return balanced_threshold(negative, positive);
  };
  CHECK(threshold({1, 2}, {3, 5, 7, 9}) == 2.5);
  CHECK(threshold({-4, 1, 6, 7}, {2, 8}) == 4);  // half of either
  CHECK(threshold({5, 6}, {1, 2}) == 1.5 + 2);   // none of either
  CHECK(threshold({}, {1}) == 0);
  FeatureIndex index;
  const std::vector<Features> negative{index.features_of("bad", true)},
      positive{index.features_of("good", true)};
  SentimentJudge judge(pointers_to(negative), pointers_to(positive), index.size());
  judge.set_threshold(1);
  CHECK(judge.log_odds(positive[0]) == Approx(std::log(2.0) - 1));
  CHECK(judge.log_odds({}) == 0);
}

TEST_CASE("cross-validation never judges a text by itself", "[evaluation]") {
  // Each text has a word of its own: only what it shares with others can be learned.
  FeatureIndex index;
  std::vector<Features> negative, positive;
  for (int i = 0; i < 10; ++i) {
    negative.push_back(index.features_of("own" + std::to_string(i), true));
    positive.push_back(index.features_of("mine" + std::to_string(i), true));
  }
  const JudgeAccuracy blind = cross_validated(negative, positive, index.size(), 5);
  CHECK(blind.balanced() == 0.5);  // a leak would give 1
  CHECK(blind.negative.trials == 10);
  for (Features& text : negative) text.push_back(0);
  CHECK(cross_validated(negative, positive, index.size(), 5).negative.value() == 1);
  CHECK_THROWS_AS(cross_validated(negative, positive, index.size(), 11), std::invalid_argument);
}

TEST_CASE("the bootstrap repeats by its seed and holds the share", "[evaluation]") {
  FeatureIndex index;
  std::vector<Features> negative, positive;
  std::vector<JudgedText> judged;
  for (int i = 0; i < 40; ++i) {
    negative.push_back(index.features_of(i % 4 == 0 ? "good" : "bad", true));
    positive.push_back(index.features_of(i % 4 == 0 ? "bad" : "good", true));
    judged.push_back({index.features_of(i % 5 == 0 ? "bad" : "good", false), true});
  }
  Bootstrap bootstrap{.negative = negative,
                      .positive = positive,
                      .judged = judged,
                      .features = index.size(),
                      .seed = 3};
  const Interval first = bootstrap_agreement(bootstrap), again = bootstrap_agreement(bootstrap);
  CHECK(first.low == again.low);
  CHECK(first.high == again.high);
  CHECK(first.low < 0.8);
  CHECK(first.high > 0.8);
  CHECK(first.high - first.low < 0.4);
  bootstrap.seed = 4;
  CHECK(bootstrap_agreement(bootstrap).low != first.low);
}

TEST_CASE("the human reply is first only where it beats every other text", "[evaluation]") {
  const std::vector<std::string> texts{"a", "b", "a", "c"};
  CHECK(ranks_first(std::vector<double>{-1, -2, -1, -3}, texts, 0));  // its own text twice
  CHECK_FALSE(ranks_first(std::vector<double>{-1, -1, -1, -3}, texts, 0));
  CHECK_FALSE(ranks_first(std::vector<double>{-1, -2, -1, -0.5}, texts, 2));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(ranks_first(std::vector<double>{nan, -2, -1, -3}, texts, 0));
}

TEST_CASE("replies are measured against the reply of their own turn", "[evaluation]") {
  const std::vector<DialogueTurn> turns{
      {.dialogue = 0, .context = "", .candidates = {"i like tea", "yes"}, .gold = 0},
      {.dialogue = 0, .context = "", .candidates = {"no", "a cat"}, .gold = 1},
      {.dialogue = 7, .context = "", .candidates = {"ok", "ok"}, .gold = 0}};
  const std::vector<std::string> replies{"Tea!", "the cat", "maybe"};
  const RatioTally f1 = measure_f1(replies, turns);
  CHECK(f1.groups() == 2);
  CHECK(f1.mean() == Approx((0.5 + 1.0 + 0.0) / 3));
  CHECK(other_replies(turns) == std::vector<std::string>{"yes", "no", ""});
  const ReplyVariety variety = measure_variety(replies);
  CHECK(variety.words == Approx(4.0 / 3));
  CHECK(variety.unigrams.all == 4);
}

TEST_CASE("figures are shown as people read them", "[evaluation]") {
  CHECK(shown_percent(0.845) == "84.5 %");
  CHECK(shown_perplexity(std::log(41.236)) == "41.24");
  CHECK(shown_perplexity(std::log(12345.6)) == "12346");
  CHECK(shown_perplexity(1e9) == "inf");
  CHECK(shown(std::numeric_limits<double>::infinity(), 2) == "-");
}

}  // namespace ovid::evaluation
