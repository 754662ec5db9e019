#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "data_tools/archive.h"

namespace ovid::data_tools {

bool is_archive_name(const std::string& name) {
  constexpr std::array<std::string_view, 12> kSuffixes{".gz",  ".xz",  ".zst",  ".bz2",
                                                       ".lz4", ".tar", ".tgz",  ".txz",
                                                       ".zip", ".tbz", ".tbz2", ".tzst"};
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(kSuffixes.begin(), kSuffixes.end(), [&](std::string_view suffix) {
    return lower.size() > suffix.size() && lower.ends_with(suffix);
  });
}

}  // namespace ovid::data_tools
