#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/record_files.h"
#include "data_tools/review.h"

// Reviews in the layouts of the Amazon releases, told apart by their first character: JSON, an
// object a line or one array of objects (2014, 2018, 2023); Python dicts, one a line (the first
// 2014 files); tab-separated values without quoting, under a header line (2015). Fields: overall |
// rating | star_rating; asin | parent_asin | product_id, product_parent (which goes first); summary
// | title | review_headline; reviewText | text | review_body; product_category. An absent text is
// empty.
namespace ovid::data_tools {

// The columns of a table, by its header line; of JSON and Python none.
using ReviewColumns = std::vector<std::string>;

// One record as it stands in the file.
struct ReviewRecord {
  std::string text;
  std::int64_t line = 0;                         // where it begins
  std::shared_ptr<const ReviewColumns> columns;  // shared by the records of a table; else none
};

// Calls visit for each record of a file, blank lines left out. Throws DataError for a file of
// another layout, Interrupted at a signal.
void for_each_review_record(const std::string& name, PeekedSource& content,
                            const std::function<void(ReviewRecord&&)>& visit);

struct ParsedReview {
  std::optional<Review> review;  // nothing: the record is broken
  std::string reason;            // then: why
  std::uint64_t replaced = 0;    // places that were not UTF-8 and became U+FFFD
};

// Parses records, one at a time. A record that is broken, or has no stars of 1 to 5 or no product,
// is a bad one. What comes out is a pure function of the record.
class ReviewParser {
 public:
  ReviewParser();
  ~ReviewParser();
  ReviewParser(ReviewParser&&) noexcept;

  ParsedReview parse(const ReviewRecord& record);

 private:
  struct Json;
  Review parse_object(std::string_view text);

  std::unique_ptr<Json> json_;
};

}  // namespace ovid::data_tools
