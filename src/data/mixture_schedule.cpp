#include "src/data/mixture_schedule.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <numeric>
#include <optional>

#include "src/core/error.h"

namespace ovid::data {
namespace {

// Products of a remainder below the sum and a part then stay below 2^62.
constexpr std::int64_t kLargestSum = std::int64_t{1} << 31;
constexpr double kRoundedSum = static_cast<double>(std::int64_t{1} << 30);
constexpr double kLeastShare = 1e-9;

double checked_sum(const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) {
    if (!(weight > 0.0) || !std::isfinite(weight)) {
      throw UsageError(
          fmt::format("a data weight of {} is not a positive number; leave the entry out instead "
                      "of giving it no weight",
                      weight));
    }
    sum += weight;
  }
  if (weights.empty() || !std::isfinite(sum)) {
    throw UsageError(
        fmt::format("{} data weights have the sum {}; give one positive weight for "
                    "each entry",
                    weights.size(), sum));
  }
  for (const double weight : weights) {
    if (weight >= kLeastShare * sum) continue;
    throw UsageError(
        fmt::format("a data weight of {} is less than {} of the sum {}: such a source would hardly "
                    "be read; raise the weight or leave the entry out",
                    weight, kLeastShare, sum));
  }
  return sum;
}

// The weights times 10^decimals, where all of these are whole numbers of a small sum.
std::optional<std::vector<std::int64_t>> whole_numbers(const std::vector<double>& weights,
                                                       double sum) {
  double scale = 1;
  for (int decimals = 0; decimals <= 9; ++decimals, scale *= 10) {
    if (sum * scale > static_cast<double>(kLargestSum)) return std::nullopt;
    std::vector<std::int64_t> parts;
    for (const double weight : weights) {
      const double part = std::round(weight * scale);
      // A decimal fraction such as 0.29 has no exact double: an error of some units in the last
      // place is part of it.
      if (part < 1 || std::abs(weight * scale - part) > 1e-14 * part) break;
      parts.push_back(static_cast<std::int64_t>(part));
    }
    if (parts.size() == weights.size()) return parts;
  }
  return std::nullopt;
}

std::vector<std::int64_t> rounded(const std::vector<double>& weights, double sum) {
  std::vector<std::int64_t> parts;
  for (const double weight : weights)
    parts.push_back(static_cast<std::int64_t>(std::round(weight / sum * kRoundedSum)));
  return parts;
}

}  // namespace

MixtureSchedule::MixtureSchedule(const std::vector<double>& weights) {
  const double sum = checked_sum(weights);
  parts_ = whole_numbers(weights, sum).value_or(rounded(weights, sum));
  std::int64_t divisor = 0;
  for (const std::int64_t part : parts_) divisor = std::gcd(divisor, part);
  starts_.push_back(0);
  for (std::int64_t& part : parts_) {
    part /= divisor;
    starts_.push_back(starts_.back() + part);
  }
}

// round(n W_left / W): rises by 0 or 1 with n. Whole rounds of W are split off first, so that no
// product overflows.
std::int64_t MixtureSchedule::left_of(std::size_t begin, std::size_t middle, std::size_t end,
                                      std::int64_t n) const {
  const std::int64_t left = starts_[middle] - starts_[begin];
  const std::int64_t all = starts_[end] - starts_[begin];
  return n / all * left + (n % all * left + all / 2) / all;
}

MixtureSchedule::Turn MixtureSchedule::at(std::int64_t consumed) const {
  assert(consumed >= 0);
  std::size_t begin = 0, end = parts_.size();
  while (end - begin > 1) {
    const std::size_t middle = begin + (end - begin) / 2;
    const std::int64_t left = left_of(begin, middle, end, consumed);
    if (left_of(begin, middle, end, consumed + 1) > left) {
      end = middle;
      consumed = left;
    } else {
      begin = middle;
      consumed -= left;
    }
  }
  return {begin, consumed};
}

std::int64_t MixtureSchedule::count(std::size_t source, std::int64_t consumed) const {
  assert(source < parts_.size() && consumed >= 0);
  std::size_t begin = 0, end = parts_.size();
  while (end - begin > 1) {
    const std::size_t middle = begin + (end - begin) / 2;
    const std::int64_t left = left_of(begin, middle, end, consumed);
    (source < middle ? end : begin) = middle;
    consumed = source < middle ? left : consumed - left;
  }
  return consumed;
}

}  // namespace ovid::data
