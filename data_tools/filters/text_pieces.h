#pragma once

#include <algorithm>
#include <string_view>

namespace ovid::data_tools::filters {

// Calls visit(line) for each line that is not empty, without its line end.
template <class Visit>
void for_each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// Calls visit(piece) for each piece between spaces, tabs and line ends.
template <class Visit>
void for_each_piece(std::string_view text, const Visit& visit) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool parts =
        i == text.size() || text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
    if (!parts) continue;
    if (i > begin) visit(text.substr(begin, i - begin));
    begin = i + 1;
  }
}

}  // namespace ovid::data_tools::filters
