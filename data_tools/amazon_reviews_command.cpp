#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "data_tools/commands.h"
#include "data_tools/interruption.h"
#include "data_tools/output_folder.h"
#include "data_tools/progress.h"
#include "data_tools/review_counts.h"
#include "data_tools/review_parser.h"
#include "data_tools/review_spool.h"
#include "data_tools/text_set.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostCategories = 1000;
constexpr int kStarWords = 5;

// The category of each file, from --category NAME and --category FILE=NAME.
class NamedCategories {
 public:
  explicit NamedCategories(const std::vector<std::string>& options) {
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

  // Empty where none was named.
  std::string of(const std::string& message_name) const {
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

 private:
  std::map<std::string, std::string> by_file_;  // "": of all others
};

// One run of the command, from its inputs to the complete working folder.
class ReviewJob {
 public:
  ReviewJob(const AmazonReviewsOptions& options, const Path& folder)
      : options_(options),
        folder_(folder),
        tokenizer_(load_shard_tokenizer(options.tokenizer)),
        named_(options.categories),
        bad_lines_(options.most_bad_lines),
        parser_(bad_lines_),
        spool_(folder) {}

  void run() {
    read();
    if (distinct_.total() == 0) {
      throw DataError(fmt::format("no review is left of {}; nothing was written: check --input",
                                  read_.total()));
    }
    write();
    log::info(progress_.summary(now()));
    control_->save_tokenizer(folder_ / "tokenizer");
    replace_file(folder_ / "dataset.json", describe().dump(2) + "\n");
  }

 private:
  void read() {
    const std::vector<InputFile> files = list_inputs(options_.inputs);
    bool known = true;
    for (const InputFile& file : files) {
      total_bytes_ += file.bytes;
      known = known && file.is_regular;
    }
    if (!known) total_bytes_ = 0;
    for_each_record_file(files, bytes_read_,
                         [&](const std::string& name, const std::string&, PeekedSource& content) {
                           const std::string category = named_.of(name);
                           parser_.parse_file(name, content,
                                              [&](Review&& review, std::int64_t line) {
                                                if (review.category.empty())
                                                  review.category = category;
                                                take(std::move(review), name, line);
                                                progress_.update(now());
                                              });
                         });
  }

  void take(Review&& review, const std::string& name, std::int64_t line) {
    if (review.category.empty()) {
      throw UsageError(fmt::format(
          "{}:{} does not say its category; name it with --category NAME, or --category FILE=NAME "
          "for one file of several",
          name, line));
    }
    auto category = clean_category(review.category);
    if (!category) {
      bad_lines_.add(name, line, "a category that is longer than 64 bytes or has one of < > |");
      return;
    }
    review.category = std::move(*category);
    review.headline = clean_review_line(review.headline);
    review.body = clean_review_text(review.body);
    read_.add(review.stars, review.category);
    if (is_empty_review(review)) return;
    with_text_.add(review.stars, review.category);
    // Each text stays once, so it is of one product, and that is in one part: no text is in two.
    if (!texts_.insert(repeated_text_key(review))) return;
    distinct_.add(review.stars, review.category);
    const Part part = part_of_key(review.product, options_.split);
    parts_[static_cast<std::size_t>(part)].add(review.stars, review.category);
    bytes_ += review.headline.size() + review.body.size();
    spool_.add({.stars = review.stars,
                .part = part,
                .category = number_of(review.category, name, line),
                .headline = review.headline,
                .body = review.body});
  }

  std::uint32_t number_of(const std::string& category, const std::string& name, std::int64_t line) {
    const auto [found, is_new] =
        numbers_.try_emplace(category, static_cast<std::uint32_t>(numbers_.size()));
    if (numbers_.size() > kMostCategories) {
      throw DataError(
          fmt::format("{}:{}: more than {} categories; is the column product_category the right "
                      "one?",
                      name, line, kMostCategories));
    }
    if (is_new) names_.push_back(category);
    return found->second;
  }

  void write() {
    std::vector<std::string> words;
    for (int stars = 1; stars <= kStarWords; ++stars) words.push_back(stars_word(stars));
    std::vector<std::size_t> word_of(names_.size());  // of a category's number
    for (const auto& [category, number] : numbers_) {
      word_of[number] = words.size();
      words.push_back(category_word(category));
    }
    control_.emplace(tokenizer_, options_.control, std::move(words));
    std::optional<BalancedStars> balance;
    if (options_.balance_stars) balance.emplace(parts_.front(), options_.split.seed);
    for (std::size_t i = 0; i < kPartNames.size(); ++i) {
      outputs_.emplace_back(folder_, kPartNames[i], options_.shard_tokens, i > 0);
    }
    spool_.for_each([&](const KeptReview& review) {
      check_interruption();
      if (balance && review.part == Part::kTrain && !balance->take(review.stars)) return;
      write_review(review, word_of[review.category]);
      progress_.update(now());
    });
    for (std::size_t i = 0; i < outputs_.size(); ++i) finish(i);
  }

  void write_review(const KeptReview& review, std::size_t category_word_index) {
    Output& output = outputs_[static_cast<std::size_t>(review.part)];
    const std::string& category = names_[review.category];
    tokens_.assign(1, static_cast<std::uint16_t>(tokenizer_.end_of_text()));
    const Review text{.stars = review.stars,
                      .category = category,
                      .product = {},
                      .headline = std::string(review.headline),
                      .body = std::string(review.body)};
    append_document(static_cast<std::size_t>(review.stars) - 1, category_word_index,
                    review_document(text));
    output.writer.append(tokens_);
    output.counts.add(review.stars, category);
    tokens_written_ += static_cast<std::int64_t>(tokens_.size());
    if (!output.reviews) return;
    const ordered_json row{{"stars", review.stars},
                           {"category", category},
                           {"headline", text.headline},
                           {"text", text.body}};
    output.reviews->write(row.dump() + "\n");
  }

  // As text the control words are parted by a space, and all is encoded at once, as a prompt will
  // be: the tokens of parts are not those of the whole. Added tokens need no space.
  void append_document(std::size_t stars_index, std::size_t category_index,
                       const std::string& document) {
    if (control_->kind() == ControlKind::kText) {
      const std::vector<std::string>& words = control_->words();
      append_text(tokenizer_, words[stars_index] + " " + words[category_index] + document, cache_,
                  tokens_);
      return;
    }
    tokens_.push_back(control_->tokens_of(stars_index).front());
    tokens_.push_back(control_->tokens_of(category_index).front());
    append_text(tokenizer_, document, cache_, tokens_);
  }

  void finish(std::size_t i) {
    Output& output = outputs_[i];
    const double fraction = i == 1 ? options_.split.validation : options_.split.test;
    if (output.counts.total() == 0 && (i == 0 || fraction > 0)) {
      throw DataError(
          fmt::format("{} distinct reviews are of too few products: the {} part would be empty; "
                      "give more reviews, another --seed, or set the fraction to 0",
                      distinct_.total(), kPartNames[i]));
    }
    output.tokens = output.writer.total_tokens();
    output.shards = output.writer.finish();
    if (!output.reviews) return;
    output.reviews->sync();
    output.reviews->close();
    if (output.counts.total() == 0) std::filesystem::remove(output.reviews->path());
  }

  ordered_json describe() const {
    ordered_json d{{"format_version", data::kDatasetFormatVersion},
                   {"created_by", std::string("ovid-data ") + kVersion},
                   {"kind", "amazon-reviews"},
                   {"tokenizer", "tokenizer"},
                   {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer_.fingerprint())},
                   {"vocabulary_size", control_->vocabulary_size()},
                   {"end_of_text", tokenizer_.end_of_text()}};
    d.update(ordered_json::parse(control_as_json(*control_)));
    d["stages"] = {{"read", ordered_json::parse(read_.as_json())},
                   {"with_text", ordered_json::parse(with_text_.as_json())},
                   {"distinct", ordered_json::parse(distinct_.as_json())}};
    const std::uint64_t chosen = outputs_.front().counts.total();
    d["dropped"] = {{"bad_lines", bad_lines_.count()},
                    {"empty", read_.total() - with_text_.total()},
                    {"repeated_text", with_text_.total() - distinct_.total()},
                    {"balance", parts_.front().total() - chosen}};
    d["first_bad_lines"] = bad_lines_.first();
    d["invalid_utf8_replaced"] = parser_.replaced();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      ordered_json part = ordered_json::parse(outputs_[i].counts.as_json());
      part["documents"] = part["reviews"];
      part["tokens"] = outputs_[i].tokens;
      part["shards"] = ordered_json::parse(shards_as_json(outputs_[i].shards));
      d[kPartNames[i]] = std::move(part);
    }
    d["settings"] = {{"validation_fraction", options_.split.validation},
                     {"test_fraction", options_.split.test},
                     {"split", "product"},
                     {"seed", options_.split.seed},
                     {"balance", options_.balance_stars ? "stars" : "none"},
                     {"shard_tokens", options_.shard_tokens}};
    return d;
  }

  Progress::Now now() const {
    return {.bytes = bytes_,
            .documents = read_.total(),
            .tokens = tokens_written_,
            .input_read = bytes_read_,
            .input_total = total_bytes_};
  }

  struct Output {
    Output(const Path& folder, const std::string& part, std::int64_t shard_tokens, bool held_out)
        : writer({.directory = folder, .prefix = part, .max_tokens = shard_tokens}) {
      if (held_out) reviews.emplace(folder / (part + "_reviews.jsonl"), WriteMode::kTruncate);
    }
    data::ShardWriter writer;
    std::optional<OutputFile> reviews;  // the texts of held-out parts
    ReviewCounts counts;
    std::int64_t tokens = 0;
    std::vector<data::WrittenShard> shards;
  };

  const AmazonReviewsOptions& options_;
  Path folder_;
  tokenizer::Tokenizer tokenizer_;
  NamedCategories named_;
  BadLines bad_lines_;
  ReviewParser parser_;
  ReviewSpool spool_;
  TextSet texts_;
  Progress progress_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::uint64_t total_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t tokens_written_ = 0;

  std::map<std::string, std::uint32_t> numbers_;  // of categories, in order of appearance
  std::vector<std::string> names_;                // by number
  ReviewCounts read_, with_text_, distinct_;
  std::array<ReviewCounts, kPartNames.size()> parts_;  // before balancing

  std::optional<ControlTokens> control_;
  std::deque<Output> outputs_;
  std::vector<std::uint16_t> tokens_;
  tokenizer::EncodeCache cache_;
};

void report(const std::string& description, const Path& folder) {
  const auto d = ordered_json::parse(description);
  const auto line = [](const std::string& label, const ordered_json& counts) {
    std::string text = fmt::format("{:<12} {:>9} reviews, stars 1 to 5:", label,
                                   counts["reviews"].get<std::uint64_t>());
    for (const auto& count : counts["stars"]) text += " " + count.dump();
    log::info(text + fmt::format("; {} categories", counts["categories"].size()));
  };
  line("read", d["stages"]["read"]);
  line("with text", d["stages"]["with_text"]);
  line("distinct", d["stages"]["distinct"]);
  for (const char* part : kPartNames) line(part, d[part]);
  const ordered_json& dropped = d["dropped"];
  log::info(fmt::format("left out: {} bad lines, {} empty, {} repeated texts, {} for the balance",
                        dropped["bad_lines"].dump(), dropped["empty"].dump(),
                        dropped["repeated_text"].dump(), dropped["balance"].dump()));
  if (d["invalid_utf8_replaced"] != 0) {
    log::warning(fmt::format("{} places were not UTF-8 and became U+FFFD",
                             d["invalid_utf8_replaced"].dump()));
  }
  log::info(fmt::format("written to {}", folder.string()));
}

}  // namespace

void run_amazon_reviews(const AmazonReviewsOptions& options) {
  check_fractions(options.split);
  write_dataset(
      options.output, options.overwrite, options.json,
      [&](const Path& folder) { return ReviewJob(options, folder).run(); }, report);
}

}  // namespace ovid::data_tools
