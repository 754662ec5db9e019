#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data_tools/bad_lines.h"
#include "data_tools/record_files.h"
#include "data_tools/review.h"

namespace ovid::data_tools {

// Reads reviews in the layouts of the Amazon releases, told apart by their first character:
// JSON, an object a line or one array of objects (2014, 2018, 2023); Python dicts, one a line (the
// first 2014 files); tab-separated values without quoting, under a header line (2015). Fields:
// overall | rating | star_rating; asin | parent_asin | product_id, product_parent (which goes
// first); summary | title | review_headline; reviewText | text | review_body; product_category. An
// absent text is empty. Texts come as they stand in the file, as UTF-8.
class ReviewParser {
 public:
  explicit ReviewParser(BadLines& bad_lines);  // kept by reference
  ~ReviewParser();

  // Calls visit for each review with its line. A record that is broken, or has no stars of 1 to 5
  // or no product, goes to `bad_lines`. Throws DataError for a file of another layout.
  using Visit = std::function<void(Review&&, std::int64_t line)>;
  void parse_file(const std::string& name, PeekedSource& content, const Visit& visit);

  // Places that were not UTF-8 and became U+FFFD.
  std::uint64_t replaced() const { return replaced_; }

 private:
  struct Json;
  void parse_object(const std::string& name, std::int64_t line, std::string_view text,
                    const Visit& visit);
  void parse_table(const std::string& name, PeekedSource& content, const Visit& visit);
  std::string_view repaired(std::string_view text);

  BadLines& bad_lines_;
  std::unique_ptr<Json> json_;
  std::string repaired_;
  std::uint64_t replaced_ = 0;
};

}  // namespace ovid::data_tools
