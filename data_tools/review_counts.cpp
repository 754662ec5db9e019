#include "data_tools/review_counts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace ovid::data_tools {

void ReviewCounts::add(int with_stars, const std::string& category) {
  ++stars.at(static_cast<std::size_t>(with_stars));
  ++categories[category];
}

std::uint64_t ReviewCounts::total() const {
  return std::accumulate(stars.begin(), stars.end(), std::uint64_t{0});
}

std::string ReviewCounts::as_json() const {
  nlohmann::ordered_json by_stars;
  for (std::size_t i = 1; i < stars.size(); ++i) by_stars[fmt::format("{}", i)] = stars[i];
  const nlohmann::ordered_json object{
      {"reviews", total()}, {"stars", by_stars}, {"categories", categories}};
  return object.dump();
}

BalancedStars::BalancedStars(const ReviewCounts& counts, std::uint64_t seed)
    : random_(seed), left_(counts.stars) {
  for (const std::uint64_t count : left_) {
    if (count > 0) of_each_ = of_each_ == 0 ? count : std::min(of_each_, count);
  }
  for (std::size_t i = 0; i < left_.size(); ++i) wanted_[i] = std::min(of_each_, left_[i]);
}

bool BalancedStars::take(int stars) {
  const auto i = static_cast<std::size_t>(stars);
  const bool taken = random_() % left_.at(i) < wanted_[i];
  --left_[i];
  if (taken) --wanted_[i];
  return taken;
}

}  // namespace ovid::data_tools
