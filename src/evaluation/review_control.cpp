#include "src/evaluation/review_control.h"

#include <algorithm>
#include <array>
#include <map>

#include "src/tokenizer/stream_decoder.h"

namespace ovid::evaluation {
namespace {

constexpr std::size_t kMostCategories = 8;
constexpr std::size_t kMostJudgeTexts = 20'000;  // of each class: learning takes seconds
constexpr std::size_t kFolds = 10;

struct Order {
  int stars = 0;
  std::string category;
  std::int64_t samples = 0;
};

// The most frequent categories with their numbers of reviews.
std::vector<std::pair<std::string, std::int64_t>> frequent_categories(
    std::span<const HeldOutReview> reviews) {
  std::map<std::string, std::int64_t> counts;
  for (const HeldOutReview& review : reviews) ++counts[review.category];
  std::vector<std::pair<std::string, std::int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  sorted.resize(std::min(sorted.size(), kMostCategories));
  return sorted;
}

// `samples` dealt out to the categories in their proportions, to the nearest whole number of what
// is dealt out so far.
void add_orders(std::vector<Order>& orders, int stars, std::int64_t samples,
                std::span<const std::pair<std::string, std::int64_t>> categories) {
  double all = 0, before = 0;
  for (const auto& category : categories) all += static_cast<double>(category.second);
  std::int64_t dealt = 0;
  for (const auto& [name, count] : categories) {
    before += static_cast<double>(count);
    const auto until = static_cast<std::int64_t>(static_cast<double>(samples) * before / all + 0.5);
    if (until > dealt) orders.push_back({stars, name, until - dealt});
    dealt = until;
  }
}

std::vector<Order> orders_of(std::int64_t samples, std::span<const HeldOutReview> held_out) {
  const auto categories = frequent_categories(held_out);
  const std::int64_t negative = samples / 2;
  std::vector<Order> orders;
  add_orders(orders, 1, negative - negative / 2, categories);
  add_orders(orders, 2, negative / 2, categories);
  add_orders(orders, 5, samples - negative, categories);
  return orders;
}

std::string text_of(const tokenizer::Tokenizer& tokenizer, std::span<const std::int32_t> tokens) {
  tokenizer::StreamDecoder decoder(tokenizer);
  std::string text;
  for (const std::int32_t token : tokens) text += decoder.push(token);
  return text + decoder.finish();
}

std::vector<std::int32_t> prompt_of(const ReviewControlSettings& settings, const Order& order) {
  if (settings.without_prefix) return settings.layout.prompt(0, "");
  return settings.layout.prompt(order.stars, order.category);
}

std::vector<WrittenReview> write_reviews(const ReviewControlSettings& settings,
                                         std::span<const Order> orders) {
  std::vector<WrittenReview> written;
  const std::int32_t end = settings.tokenizer.end_of_text();
  for (const Order& order : orders) {
    const std::vector<std::int32_t> prompt = prompt_of(settings, order);
    generation::generate(
        settings.model, std::span(&prompt, 1),
        {.sampling = settings.sampling,
         .max_new_tokens = settings.max_new_tokens,
         .samples = order.samples,
         // Samples are numbered through, so that no two share their random numbers.
         .first_sample = static_cast<std::int64_t>(written.size()),
         .end_of_text = end},
        {.on_sample = [&](const generation::Sample& sample) {
          std::span<const std::int32_t> tokens(sample.tokens);
          const bool ended = !tokens.empty() && tokens.back() == end;
          if (ended) tokens = tokens.first(tokens.size() - 1);
          written.push_back({.stars = order.stars,
                             .category = order.category,
                             .text = text_of(settings.tokenizer, tokens),
                             .tokens = static_cast<std::int64_t>(tokens.size()),
                             .ended = ended});
          if (settings.on_progress) {
            settings.on_progress(static_cast<std::int64_t>(written.size()), settings.samples);
          }
        }});
  }
  return written;
}

// The features of the reviews whose stars lie in [low, high], evenly spaced where they are many.
std::vector<Features> features_between(std::span<const HeldOutReview> reviews, int low, int high,
                                       FeatureIndex& index) {
  std::vector<const HeldOutReview*> chosen;
  for (const HeldOutReview& review : reviews)
    if (review.stars >= low && review.stars <= high) chosen.push_back(&review);
  std::vector<Features> features;
  const std::size_t count = std::min(chosen.size(), kMostJudgeTexts);
  for (std::size_t i = 0; i < count; ++i) {
    features.push_back(
        index.features_of(review_text(*chosen[i * chosen.size() / count]), /*grow=*/true));
  }
  return features;
}

}  // namespace

std::optional<ReviewControl> measure_control(const ReviewControlSettings& settings,
                                             std::span<const HeldOutReview> held_out) {
  FeatureIndex index;
  const std::vector<Features> negative = features_between(held_out, 1, 2, index);
  const std::vector<Features> positive = features_between(held_out, 5, 5, index);
  if (std::min(negative.size(), positive.size()) < kFewestJudgeTexts) return std::nullopt;
  ReviewControl control;
  control.folds = kFolds;
  control.on_people = cross_validated(negative, positive, index.size(), kFolds);
  control.written = write_reviews(settings, orders_of(settings.samples, held_out));
  SentimentJudge judge(pointers_to(negative), pointers_to(positive), index.size());
  judge.set_threshold(control.on_people.threshold);
  std::vector<JudgedText> judged;
  for (WrittenReview& review : control.written) {
    judged.push_back({index.features_of(review.text, /*grow=*/false), review.stars == 5});
    review.log_odds = judge.log_odds(judged.back().features);
    Share& share = review.stars == 5 ? control.positive : control.negative;
    share.hits += review.agrees() ? 1 : 0;
    ++share.trials;
  }
  control.bootstrap = bootstrap_agreement({.negative = negative,
                                           .positive = positive,
                                           .judged = judged,
                                           .features = index.size(),
                                           .seed = settings.sampling.seed});
  return control;
}

}  // namespace ovid::evaluation
