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

// Reviews that wait in a file of the folder (waiting.reviews) until all categories and counts are
// known, so that memory does not grow with them. Errors as those of OutputFile.
class ReviewSpool {
 public:
  // Goes on behind the first `bytes` bytes of what an earlier process wrote: the rest is cut off; 0
  // begins anew. Throws DataError where the file holds less.
  ReviewSpool(const Path& directory, std::uint64_t bytes);
  ReviewSpool(const ReviewSpool&) = delete;
  ReviewSpool& operator=(const ReviewSpool&) = delete;
  static void remove_file(const Path& directory);

  void add(const KeptReview& review);
  void sync();  // what was added is on the disk when this returns
  std::uint64_t bytes() const { return bytes_; }
  // In the order in which they came; the texts are valid during the call.
  void for_each(const std::function<void(const KeptReview&)>& visit);

 private:
  void flush();

  OutputFile file_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ovid::data_tools
