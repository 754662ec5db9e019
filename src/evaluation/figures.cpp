#include "src/evaluation/figures.h"

#include <fmt/format.h>

#include <cmath>

namespace ovid::evaluation {

std::string shown(double value, int decimals) {
  return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "-";
}

std::string shown_percent(double share) {
  return shown(100 * share, 1) + " %";
}

std::string shown_percent(const Interval& share) {
  return shown(100 * share.low, 1) + " to " + shown(100 * share.high, 1) + " %";
}

std::string shown_perplexity(double nats) {
  const double perplexity = std::exp(nats);
  return perplexity < 1e6 ? shown(perplexity, perplexity < 1000 ? 2 : 0)
                          : fmt::format("{:.3g}", perplexity);
}

std::string shown_perplexity(const Interval& nats) {
  return shown_perplexity(nats.low) + " to " + shown_perplexity(nats.high);
}

}  // namespace ovid::evaluation
