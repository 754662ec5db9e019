#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ovid::data_tools {

// Records that cannot be used: each is counted and passed over, the first ones are told with file
// and line, and more than the limit end the command.
class BadLines {
 public:
  static constexpr std::size_t kTold = 5;

  explicit BadLines(std::uint64_t limit) : limit_(limit) {}

  // Counts one. Throws DataError, which names the first ones, where there are more than the limit.
  void add(std::string_view file, std::int64_t line, std::string_view reason);

  // Goes on from what an earlier process counted.
  void restore(std::uint64_t count, std::vector<std::string> first);

  std::uint64_t count() const { return count_; }
  // "reviews.json:12: the reason", of the first kTold.
  const std::vector<std::string>& first() const { return first_; }

 private:
  std::uint64_t limit_;
  std::uint64_t count_ = 0;
  std::vector<std::string> first_;
};

}  // namespace ovid::data_tools
