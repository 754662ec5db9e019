#include "data_tools/review_writer.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data_tools/interruption.h"
#include "data_tools/ordered_batches.h"
#include "data_tools/output_folder.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

tokenizer::ControlWords control_words(const AmazonReviewsOptions& options,
                                      const ReviewReader& reader) {
  std::vector<std::string> words;
  for (int stars = 1; stars <= prompts::kMostStars; ++stars)
    words.push_back(prompts::stars_word(stars));
  for (const auto& known : reader.distinct().categories)  // sorted
    words.push_back(prompts::category_word(known.first));
  return {.kind = options.control, .task = prompts::kReviewTask, .words = std::move(words)};
}

}  // namespace

struct ReviewWriter::Item {
  int stars = 0;
  Part part = Part::kTrain;
  std::uint32_t category = 0;
  std::uint64_t behind = 0;  // reviews of the spool up to here
  std::string headline;
  std::string body;
  // Filled by the worker:
  std::vector<std::uint16_t> tokens;
  std::string row;  // of a held-out part
};

ReviewWriter::Output::Output(const Path& folder, std::size_t part, std::int64_t shard_tokens)
    : shards({.directory = folder, .prefix = kPartNames[part], .max_tokens = shard_tokens}),
      rows_path(part == 0 ? Path() : folder / fmt::format("{}_reviews.jsonl", kPartNames[part])) {}

ReviewWriter::ReviewWriter(const AmazonReviewsOptions& options, const Path& folder,
                           const tokenizer::Tokenizer& tokenizer, const ReviewReader& reader)
    : options_(options),
      reader_(reader),
      control_(tokenizer, control_words(options, reader)),
      layout_(control_.tokenizer(), control_.kind()) {
  for (std::size_t i = 0; i < kPartNames.size(); ++i)
    outputs_.emplace_back(folder, i, options.shard_tokens);
}

void ReviewWriter::restore(const ReviewProgress::Writing& state) {
  passed_ = state.reviews;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    output.shards.restore(state.parts[i].shards);
    output.row_bytes = state.parts[i].row_bytes;
    if (output.row_bytes > 0)
      output.rows.emplace(cut_back(output.rows_path, output.row_bytes), WriteMode::kAppend);
  }
}

void ReviewWriter::run(ReviewSpool& spool, WorkPool& pool,
                       const std::function<void(std::size_t bytes)>& taken) {
  for (Output& output : outputs_) {
    if (!output.rows_path.empty() && !output.rows)
      output.rows.emplace(output.rows_path, WriteMode::kTruncate);
  }
  std::vector<tokenizer::EncodeCache> caches(pool.threads());
  OrderedBatches<Item> batches(
      pool, [&](std::size_t worker, Item& item) { make_document(caches[worker], item); },
      [&](Item& item) {
        take(item);
        taken(item.headline.size() + item.body.size());
      });
  std::optional<BalancedStars> balance;
  if (options_.balance_stars) balance.emplace(reader_.parts().front(), options_.split.seed);
  const std::uint64_t passed_before = passed_;
  std::uint64_t index = 0;
  spool.for_each([&](const KeptReview& review) {
    check_interruption();
    ++index;
    // Asked of those that an earlier process wrote too: the choice depends on all before it.
    if (balance && review.part == Part::kTrain && !balance->take(review.stars)) return;
    if (index <= passed_before) {
      outputs_[static_cast<std::size_t>(review.part)].counts.add(
          review.stars, reader_.categories()[review.category]);
      return;
    }
    Item item;
    item.stars = review.stars;
    item.part = review.part;
    item.category = review.category;
    item.behind = index;
    item.headline = review.headline;
    item.body = review.body;
    batches.add(std::move(item), review.headline.size() + review.body.size());
  });
  batches.finish();
}

void ReviewWriter::make_document(tokenizer::EncodeCache& cache, Item& item) const {
  const std::string& category = reader_.categories()[item.category];
  const auto ids = layout_.document(layout_.control(item.stars, category),
                                    prompts::ReviewLayout::text(item.headline, item.body), cache);
  item.tokens.assign(ids.begin(), ids.end());
  if (item.part == Part::kTrain) return;
  const ordered_json row{{"stars", item.stars},
                         {"category", category},
                         {"headline", item.headline},
                         {"text", item.body}};
  item.row = row.dump() + "\n";
}

void ReviewWriter::take(Item& item) {
  Output& output = outputs_[static_cast<std::size_t>(item.part)];
  output.shards.append(item.tokens);
  if (output.rows) output.rows->write(item.row);
  output.row_bytes += item.row.size();
  output.counts.add(item.stars, reader_.categories()[item.category]);
  passed_ = item.behind;
}

ReviewProgress::Writing ReviewWriter::save() {
  ReviewProgress::Writing state{.reviews = passed_, .parts = {}};
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    output.shards.sync();
    if (output.rows) output.rows->sync();
    state.parts[i] = {.shards = output.shards.state(), .row_bytes = output.row_bytes};
  }
  return state;
}

void ReviewWriter::finish() {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    const double fraction = i == 1 ? options_.split.validation : options_.split.test;
    if (output.counts.total() == 0 && (i == 0 || fraction > 0)) {
      throw DataError(
          fmt::format("{} distinct reviews are of too few products: the {} part would be empty; "
                      "give more reviews, another --seed, or set the fraction to 0",
                      reader_.distinct().total(), kPartNames[i]));
    }
    output.tokens = output.shards.total_tokens();
    output.written = output.shards.finish();
    if (!output.rows) continue;
    output.rows->sync();
    output.rows->close();
    if (output.counts.total() == 0) std::filesystem::remove(output.rows_path);
  }
}

std::int64_t ReviewWriter::tokens() const {
  std::int64_t tokens = 0;
  for (const Output& output : outputs_) tokens += output.shards.total_tokens();
  return tokens;
}

std::string ReviewWriter::parts_as_json() const {
  ordered_json parts;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    ordered_json part = ordered_json::parse(outputs_[i].counts.as_json());
    part["documents"] = part["reviews"];
    part["tokens"] = outputs_[i].tokens;
    part["shards"] = ordered_json::parse(shards_as_json(outputs_[i].written));
    parts[kPartNames[i]] = std::move(part);
  }
  return parts.dump();
}

}  // namespace ovid::data_tools
