#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ovid::report {

// Columns for a terminal, as wide as their widest cell, two blanks apart. What could steer a
// terminal becomes "?", and cells of more than 60 characters are cut.
class TextTable {
 public:
  // `alignment`: "l" or "r" for each column.
  TextTable(std::vector<std::string> headings, std::string_view alignment);

  void add(const std::vector<std::string>& cells);  // one for each heading
  bool empty() const { return rows_.size() == 1; }
  std::string text() const;  // headings and rows, each with its line end

 private:
  std::string alignment_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ovid::report
