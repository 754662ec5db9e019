#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data_tools/bad_lines.h"
#include "data_tools/commands.h"
#include "data_tools/input_files.h"
#include "data_tools/review_parser.h"
#include "data_tools/review_progress.h"
#include "data_tools/review_spool.h"
#include "data_tools/text_set.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools {

// The category of each file, from --category NAME and --category FILE=NAME.
class NamedCategories {
 public:
  explicit NamedCategories(const std::vector<std::string>& options);  // throws UsageError
  // Of a file by its name for messages; empty where none was named.
  std::string of(const std::string& message_name) const;

 private:
  std::map<std::string, std::string> by_file_;  // "": of all others
};

// The first half of `ovid-data amazon-reviews`: from files to the distinct reviews in a spool.
// Records are parsed and cleaned on all threads of a pool and counted in their order.
class ReviewReader {
 public:
  // All but `pool` are kept by reference.
  ReviewReader(const AmazonReviewsOptions& options, std::span<const InputFile> files,
               ReviewSpool& spool);

  // Goes on from what an earlier process recorded, with its spool.
  void restore(const ReviewProgress& progress);

  // Reads all that is left. `taken` is called behind each record, with the bytes of its text.
  // Throws UsageError where a review has no category, or the records before the place that is gone
  // on from are others; DataError for more bad lines than allowed and what cannot be read.
  void run(WorkPool& pool, const std::function<void(std::size_t bytes)>& taken);

  // Fills what there is to know of the reading but the spool.
  void save(ReviewProgress& progress) const;

  const ReviewCounts& read() const { return read_; }
  const ReviewCounts& with_text() const { return with_text_; }
  const ReviewCounts& distinct() const { return distinct_; }
  // The distinct ones of each part, before balancing.
  const std::array<ReviewCounts, kPartNames.size()>& parts() const { return parts_; }
  const std::vector<std::string>& categories() const { return categories_; }  // by number
  const BadLines& bad_lines() const { return bad_lines_; }
  std::uint64_t replaced() const { return replaced_; }
  std::uint64_t text_bytes() const { return text_bytes_; }    // of the distinct ones
  std::uint64_t input_bytes() const { return input_bytes_; }  // read, as they lie on the disk
  bool is_passing_over() const { return passing_over_; }

 private:
  struct Source;
  struct Item;
  void read_file(std::size_t number, const std::function<void(Item&&)>& add);
  void prepare(ReviewParser& parser, Item& item) const;
  void take(Item& item);
  std::uint32_t number_of(const std::string& category, const Item& item);
  void count_kept(int stars, std::uint32_t category, Part part, std::size_t bytes);

  const AmazonReviewsOptions& options_;
  std::span<const InputFile> files_;
  ReviewSpool& spool_;
  NamedCategories named_;
  BadLines bad_lines_;
  TextSet texts_;
  ReviewPlace place_;  // behind what was taken
  bool inputs_done_ = false;
  bool passing_over_ = false;
  std::atomic<std::uint64_t> input_bytes_{0};
  std::uint64_t replaced_ = 0;
  std::uint64_t text_bytes_ = 0;
  std::map<std::string, std::uint32_t> numbers_;  // of categories, in order of appearance
  std::vector<std::string> categories_;
  ReviewCounts read_, with_text_, distinct_;
  std::array<ReviewCounts, kPartNames.size()> parts_;
};

}  // namespace ovid::data_tools
