#include "src/distributed/straggler_score.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/core/error.h"

namespace ovid::distributed {
namespace {

// Between the limit and this much above it a score is told neither as low nor as good again.
constexpr double kRecovery = 1.1;

}  // namespace

StragglerScores::StragglerScores(int ranks, const StragglerSettings& settings)
    : settings_(settings), ranks_(static_cast<std::size_t>(ranks)) {
  if (!(settings.limit >= 0 && settings.limit < 1)) {
    throw UsageError(
        fmt::format("the limit of straggler scores is {}; it must be in [0, 1)", settings.limit));
  }
  if (settings.window_steps < 1 || settings.window_steps > 1'000'000) {
    throw UsageError(fmt::format("straggler scores over {} steps; 1 to 1,000,000 are possible",
                                 settings.window_steps));
  }
  window_.resize(ranks_ * static_cast<std::size_t>(settings.window_steps));
  best_.assign(ranks_, std::numeric_limits<double>::infinity());
  scores_.resize(ranks_);
  relative_told_.assign(ranks_, 0);
  own_told_.assign(ranks_, 0);
}

std::vector<std::string> StragglerScores::note(std::int64_t step, std::span<const double> seconds) {
  const auto usable = [](double s) { return std::isfinite(s) && s > 0; };
  if (seconds.size() != ranks_ || !std::all_of(seconds.begin(), seconds.end(), usable)) return {};
  const std::int64_t row = noted_ % settings_.window_steps;
  std::copy(seconds.begin(), seconds.end(), window_.begin() + row * std::ssize(seconds));
  ++noted_;
  if (noted_ < settings_.window_steps) return {};
  update_scores();
  std::vector<std::string> news;
  const auto judge = [&](char& told, double score, std::size_t rank, const char* of) {
    const bool low = score < settings_.limit;
    const bool good = score >= std::min(1.0, settings_.limit * kRecovery);
    if (low == (told != 0) || (!low && !good)) return;
    told = low;
    news.push_back(
        low ? fmt::format("step {}: rank {} is slow: score {:.2f} against {} (below {:.2f}, over "
                          "{} steps); the others wait for it",
                          step, rank, score, of, settings_.limit, settings_.window_steps)
            : fmt::format("step {}: rank {} has recovered: score {:.2f} against {}", step, rank,
                          score, of));
  };
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    judge(relative_told_[rank], scores_[rank].relative, rank, "the fastest rank");
    judge(own_told_[rank], scores_[rank].own, rank, "its own best");
  }
  return news;
}

void StragglerScores::update_scores() {
  std::vector<double> mean(ranks_, 0.0);
  for (std::size_t i = 0; i < window_.size(); ++i) mean[i % ranks_] += window_[i];
  const double fastest = *std::min_element(mean.begin(), mean.end());
  for (std::size_t rank = 0; rank < ranks_; ++rank) {
    best_[rank] = std::min(best_[rank], mean[rank]);
    scores_[rank] = {.relative = fastest / mean[rank], .own = best_[rank] / mean[rank]};
  }
}

int StragglerScores::slowest() const {
  const auto by_relative = [](const RankScore& a, const RankScore& b) {
    return a.relative < b.relative;
  };
  return static_cast<int>(std::min_element(scores_.begin(), scores_.end(), by_relative) -
                          scores_.begin());
}

}  // namespace ovid::distributed
