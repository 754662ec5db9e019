#include "data_tools/bad_lines.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::data_tools {

void BadLines::add(std::string_view file, std::int64_t line, std::string_view reason) {
  ++count_;
  if (first_.size() < kTold) {
    first_.push_back(fmt::format("{}:{}: {}", file, line, reason));
    log::warning(fmt::format("left out {}", first_.back()));
  }
  if (count_ <= limit_) return;
  throw DataError(
      fmt::format("{} bad lines, and --max-bad-lines is {}; mend them or raise the limit. The "
                  "first: {}",
                  count_, limit_, fmt::join(first_, "; ")));
}

void BadLines::restore(std::uint64_t count, std::vector<std::string> first) {
  count_ = count;
  first_ = std::move(first);
}

}  // namespace ovid::data_tools
