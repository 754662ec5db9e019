#include "src/distributed/rank_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace ovid::distributed {

std::string describe_ranks(std::span<const int> ranks) {
  constexpr std::size_t kMostNamed = 8;
  if (ranks.empty()) return "no rank";
  if (ranks.size() == 1) return fmt::format("rank {}", ranks[0]);
  const std::size_t named = ranks.size() <= kMostNamed ? ranks.size() - 1 : kMostNamed;
  std::string text = fmt::format("ranks {}", ranks[0]);
  for (std::size_t i = 1; i < named; ++i) text += fmt::format(", {}", ranks[i]);
  if (ranks.size() <= kMostNamed) return text + fmt::format(" and {}", ranks.back());
  return text + fmt::format(" and {} more", ranks.size() - named);
}

}  // namespace ovid::distributed
