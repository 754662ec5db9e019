#include "src/report/text_table.h"

#include <algorithm>
#include <cassert>
#include <cstddef>

#include "src/config/text.h"

namespace ovid::report {
namespace {

// At most `characters` of valid text.
std::string cut(const std::string& text, std::size_t characters) {
  if (config::count_characters(text) <= characters) return text;
  std::size_t end = 0;
  for (std::size_t i = 1; i < characters; ++i)
    end += std::max<std::size_t>(1, config::utf8_length(std::string_view(text).substr(end)));
  return text.substr(0, end) + "…";
}

}  // namespace

TextTable::TextTable(std::vector<std::string> headings, std::string_view alignment)
    : alignment_(alignment) {
  assert(alignment.size() == headings.size());
  add(headings);
}

void TextTable::add(const std::vector<std::string>& cells) {
  constexpr std::size_t kWidest = 60;
  assert(cells.size() == alignment_.size());
  std::vector<std::string> row;
  for (const std::string& cell : cells) row.push_back(cut(config::printable(cell), kWidest));
  rows_.push_back(std::move(row));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths(alignment_.size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], config::count_characters(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - config::count_characters(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (alignment_[i] == 'r' ? blanks + row[i] : row[i] + blanks);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace ovid::report
