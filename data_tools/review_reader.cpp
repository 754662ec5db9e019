#include "data_tools/review_reader.h"

#include <fmt/format.h>

#include <optional>

#include "data_tools/interruption.h"
#include "data_tools/ordered_batches.h"
#include "data_tools/record_files.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kMostCategories = 1000;

}  // namespace

NamedCategories::NamedCategories(const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    const std::size_t equals = option.find('=');
    const std::string file = equals == std::string::npos ? "" : option.substr(0, equals);
    const auto name =
        clean_category(equals == std::string::npos ? option : option.substr(equals + 1));
    if (!name) {
      throw UsageError(fmt::format(
          "--category {}: a name has 1 to 64 bytes and none of < > |; give NAME, or FILE=NAME",
          option));
    }
    if (!by_file_.insert_or_assign(file, *name).second) {
      throw UsageError(fmt::format("--category names {} twice", file.empty() ? "all" : file));
    }
  }
}

std::string NamedCategories::of(const std::string& message_name) const {
  for (const auto& [file, name] : by_file_) {
    // "folder/file.json.gz: file.json" is of file.json.gz as well as of file.json.
    const std::size_t found = file.empty() ? std::string::npos : message_name.find(file);
    if (found == std::string::npos) continue;
    const char before = found == 0 ? '/' : message_name[found - 1];
    const std::size_t end = found + file.size();
    const bool whole = end == message_name.size() || message_name[end] == ':';
    if (whole && (before == '/' || before == ' ')) return name;
  }
  const auto all = by_file_.find("");
  return all == by_file_.end() ? std::string() : all->second;
}

struct ReviewReader::Source {
  std::string name;      // for messages
  std::string category;  // empty where none was named
};

struct ReviewReader::Item {
  ReviewRecord record;
  std::shared_ptr<const Source> source;
  ReviewPlace behind;
  // Filled by the worker:
  std::size_t bytes = 0;
  ParsedReview parsed;
  bool without_category = false;
  std::string key;
  Part part = Part::kTrain;
};

ReviewReader::ReviewReader(const AmazonReviewsOptions& options, std::span<const InputFile> files,
                           ReviewSpool& spool)
    : options_(options),
      files_(files),
      spool_(spool),
      named_(options.categories),
      bad_lines_(options.most_bad_lines) {}

void ReviewReader::restore(const ReviewProgress& progress) {
  place_ = progress.place;
  inputs_done_ = progress.inputs_done;
  read_ = progress.read;
  with_text_ = progress.with_text;
  replaced_ = progress.replaced;
  bad_lines_.restore(progress.bad_lines, progress.first_bad_lines);
  categories_ = progress.categories;
  for (std::size_t i = 0; i < categories_.size(); ++i)
    numbers_.emplace(categories_[i], static_cast<std::uint32_t>(i));
  spool_.for_each([&](const KeptReview& review) {
    if (review.category >= categories_.size() || review.stars < 1 || review.stars > 5) {
      throw DataError("the waiting reviews are damaged; begin anew with --restart");
    }
    // Texts that were seen matter only for those that are still to come.
    if (!inputs_done_) texts_.insert(repeated_text_key({.body = std::string(review.body)}));
    count_kept(review.stars, review.category, review.part,
               review.headline.size() + review.body.size());
  });
  for (std::size_t i = 0; i < place_.input && i < files_.size(); ++i)
    input_bytes_ += files_[i].bytes;
}

void ReviewReader::save(ReviewProgress& progress) const {
  progress.place = place_;
  progress.inputs_done = inputs_done_;
  progress.read = read_;
  progress.with_text = with_text_;
  progress.categories = categories_;
  progress.replaced = replaced_;
  progress.bad_lines = bad_lines_.count();
  progress.first_bad_lines = bad_lines_.first();
}

void ReviewReader::run(WorkPool& pool, const std::function<void(std::size_t bytes)>& taken) {
  if (inputs_done_) return;
  std::vector<ReviewParser> parsers(pool.threads());
  OrderedBatches<Item> batches(
      pool, [&](std::size_t worker, Item& item) { prepare(parsers[worker], item); },
      [&](Item& item) {
        take(item);
        taken(item.bytes);
      });
  try {
    for (std::size_t i = place_.input; i < files_.size(); ++i) {
      read_file(i, [&](Item&& item) {
        const std::size_t bytes = item.record.text.size();
        batches.add(std::move(item), bytes);
      });
    }
  } catch (const DataError&) {
    batches.finish();  // what stands before the damage is taken, and its errors come first
    throw;
  } catch (const Interrupted&) {
    batches.finish();
    throw;
  }
  batches.finish();
  place_ = {.input = files_.size()};
  inputs_done_ = true;
}

void ReviewReader::read_file(std::size_t number, const std::function<void(Item&&)>& add) {
  ReviewPlace place{.input = number};
  const ReviewPlace begin = place_.input == number ? place_ : place;
  passing_over_ = begin.records > 0;
  const auto check = [&](const std::string& name) {
    if (place.hash == begin.hash && place.records == begin.records) return;
    throw UsageError(
        fmt::format("{} is not what it was when this work was begun; give the same input again, or "
                    "begin anew with --restart",
                    name));
  };
  for_each_record_file({files_[number]}, input_bytes_,
                       [&](const std::string& name, const std::string&, PeekedSource& content) {
                         const auto source = std::make_shared<const Source>(
                             Source{.name = name, .category = named_.of(name)});
                         for_each_review_record(name, content, [&](ReviewRecord&& record) {
                           ++place.records;
                           place.hash = hash64(std::as_bytes(std::span(record.text)), place.hash);
                           if (!passing_over_) {
                             Item item;
                             item.record = std::move(record);
                             item.source = source;
                             item.behind = place;
                             return add(std::move(item));
                           }
                           if (place.records < begin.records) return;
                           check(name);
                           passing_over_ = false;
                         });
                       });
  if (passing_over_) check(files_[number].path);
}

void ReviewReader::prepare(ReviewParser& parser, Item& item) const {
  item.bytes = item.record.text.size();
  item.parsed = parser.parse(item.record);
  item.record.text = {};
  if (!item.parsed.review) return;
  Review& review = *item.parsed.review;
  if (review.category.empty()) review.category = item.source->category;
  item.without_category = review.category.empty();
  if (item.without_category) return;
  auto category = clean_category(review.category);
  if (!category) {
    item.parsed.reason = "a category that is longer than 64 bytes or has one of < > |";
    item.parsed.review.reset();
    return;
  }
  review.category = std::move(*category);
  review.headline = clean_review_line(review.headline);
  review.body = clean_review_text(review.body);
  if (is_empty_review(review)) return;
  item.key = repeated_text_key(review);
  item.part = part_of_key(review.product, options_.split);
}

void ReviewReader::take(Item& item) {
  place_ = item.behind;
  replaced_ += item.parsed.replaced;
  if (item.without_category) {
    throw UsageError(fmt::format(
        "{}:{} does not say its category; name it with --category NAME, or --category FILE=NAME "
        "for one file of several",
        item.source->name, item.record.line));
  }
  if (!item.parsed.review)
    return bad_lines_.add(item.source->name, item.record.line, item.parsed.reason);
  const Review& review = *item.parsed.review;
  read_.add(review.stars, review.category);
  if (is_empty_review(review)) return;
  with_text_.add(review.stars, review.category);
  // Each text stays once, so it is of one product, and that is in one part: no text is in two.
  if (!texts_.insert(item.key)) return;
  const std::uint32_t category = number_of(review.category, item);
  count_kept(review.stars, category, item.part, review.headline.size() + review.body.size());
  spool_.add({.stars = review.stars,
              .part = item.part,
              .category = category,
              .headline = review.headline,
              .body = review.body});
}

void ReviewReader::count_kept(int stars, std::uint32_t category, Part part, std::size_t bytes) {
  distinct_.add(stars, categories_[category]);
  parts_.at(static_cast<std::size_t>(part)).add(stars, categories_[category]);
  text_bytes_ += bytes;
}

std::uint32_t ReviewReader::number_of(const std::string& category, const Item& item) {
  const auto [found, is_new] =
      numbers_.try_emplace(category, static_cast<std::uint32_t>(numbers_.size()));
  if (numbers_.size() > kMostCategories) {
    throw DataError(
        fmt::format("{}:{}: more than {} categories; is the column product_category the right one?",
                    item.source->name, item.record.line, kMostCategories));
  }
  if (is_new) categories_.push_back(category);
  return found->second;
}

}  // namespace ovid::data_tools
