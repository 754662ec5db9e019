#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>

namespace ovid::data_tools {

// How many reviews there are at one stage of the work.
struct ReviewCounts {
  std::array<std::uint64_t, 6> stars{};  // [1] to [5]
  std::map<std::string, std::uint64_t> categories;

  void add(int with_stars, const std::string& category);
  std::uint64_t total() const;
  // {"reviews": n, "stars": {"1": ...}, "categories": {...}}
  std::string as_json() const;
};

// Chooses of the reviews of each number of stars as many as the rarest number has, each subset of
// them equally likely (selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2,
// algorithm S). Numbers of stars that no review has are left out of account.
class BalancedStars {
 public:
  BalancedStars(const ReviewCounts& counts, std::uint64_t seed);
  // Asked once for each of the counted reviews, in order.
  bool take(int stars);
  std::uint64_t of_each() const { return of_each_; }

 private:
  std::mt19937_64 random_;
  std::uint64_t of_each_ = 0;
  std::array<std::uint64_t, 6> left_{};    // not asked about yet
  std::array<std::uint64_t, 6> wanted_{};  // to be taken of them
};

}  // namespace ovid::data_tools
