#include "src/generation/stop_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/core/error.h"

namespace ovid::generation {

void StopText::Pattern::advance(char c) {
  while (matched > 0 && (matched == text.size() || text[matched] != c)) matched = fallback[matched];
  if (text[matched] == c) ++matched;
}

StopText::StopText(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (stop.empty() || stop.size() > kMostBytes) {
      throw UsageError(
          fmt::format("a stop string of {} bytes is not possible: it needs 1 to {} bytes",
                      stop.size(), kMostBytes));
    }
    Pattern pattern{.text = stop, .fallback = std::vector<std::size_t>(stop.size() + 1, 0)};
    for (std::size_t n = 2; n <= stop.size(); ++n) {
      pattern.advance(stop[n - 1]);
      pattern.fallback[n] = pattern.matched;
    }
    pattern.matched = 0;
    patterns_.push_back(std::move(pattern));
  }
}

std::string StopText::push(std::string_view text) {
  if (found_) return {};
  if (patterns_.empty()) return std::string(text);
  for (const char c : text) {
    held_ += c;
    std::size_t complete = 0;
    for (Pattern& pattern : patterns_) {
      pattern.advance(c);
      if (pattern.matched == pattern.text.size()) complete = std::max(complete, pattern.matched);
    }
    if (complete == 0) continue;
    found_ = true;
    held_.resize(held_.size() - complete);
    return std::exchange(held_, {});
  }
  std::size_t undecided = 0;
  for (const Pattern& pattern : patterns_) undecided = std::max(undecided, pattern.matched);
  std::string ready = held_.substr(0, held_.size() - undecided);
  held_.erase(0, ready.size());
  return ready;
}

std::string StopText::finish() {
  return std::exchange(held_, {});
}

}  // namespace ovid::generation
