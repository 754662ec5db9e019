#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "data_tools/dataset_files.h"
#include "src/core/file.h"

namespace ovid::data_tools {

// A review that has passed all filters.
struct KeptReview {
  int stars = 0;
  Part part = Part::kTrain;
  std::uint32_t category = 0;  // its number in order of appearance
  std::string_view headline;
  std::string_view body;
};

// Reviews that wait in a file until all categories and counts are known, so that memory does not
// grow with them. Errors as those of OutputFile.
class ReviewSpool {
 public:
  explicit ReviewSpool(const Path& directory);
  ~ReviewSpool();  // removes the file
  ReviewSpool(const ReviewSpool&) = delete;
  ReviewSpool& operator=(const ReviewSpool&) = delete;

  void add(const KeptReview& review);
  // In the order in which they came; the texts are valid during the call.
  void for_each(const std::function<void(const KeptReview&)>& visit);

 private:
  void flush();

  OutputFile file_;
  std::string buffer_;
};

}  // namespace ovid::data_tools
