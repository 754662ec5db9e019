#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ovid::data_tools {

// One review as a release has it.
struct Review {
  int stars = 0;         // 1 to 5
  std::string category;  // empty where the record does not say
  std::string product;
  std::string headline;
  std::string body;
};

// Text as people wrote it: <br> tags become line ends, other white space single spaces, the
// character references of HTML (&#34; &amp; ...) their characters; control characters and space at
// either end go. `text` is UTF-8. Pure.
std::string clean_review_text(std::string_view text);

// The same on one line: for headlines and category names.
std::string clean_review_line(std::string_view text);

// What is compared to find repeated texts: the body in lower case (ASCII), without white space and
// ASCII punctuation; where nothing remains, the body itself. Pure.
std::string repeated_text_key(const Review& cleaned);

// Whether the body has no character left; a headline alone ("Five Stars") is no review.
bool is_empty_review(const Review& cleaned);

// A name that can stand in <|category:NAME|>, cleaned; nothing where it is empty, longer than 64
// bytes, or has one of < > |.
std::optional<std::string> clean_category(std::string_view name);

}  // namespace ovid::data_tools
