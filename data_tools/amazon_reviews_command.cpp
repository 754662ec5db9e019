#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "data_tools/commands.h"
#include "data_tools/interruption.h"
#include "data_tools/progress.h"
#include "data_tools/review_reader.h"
#include "data_tools/review_writer.h"
#include "data_tools/work_record.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

// What decides the result beside the inputs; the keys are the flags, for messages.
std::string settings_of(const AmazonReviewsOptions& options, std::uint64_t tokenizer) {
  const ordered_json settings{{"command", "amazon-reviews"},
                              {"--tokenizer", fmt::format("{:016x}", tokenizer)},
                              {"--control", name_of(options.control)},
                              {"--category", options.categories},
                              {"--balance", options.balance_stars ? "stars" : "none"},
                              {"--validation-fraction", options.split.validation},
                              {"--test-fraction", options.split.test},
                              {"--seed", options.split.seed},
                              {"--shard-tokens", options.shard_tokens}};
  return settings.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// One run of the command, from its inputs to the complete working folder.
class ReviewJob {
 public:
  ReviewJob(const AmazonReviewsOptions& options, const Path& folder)
      : options_(options),
        folder_(folder),
        tokenizer_(load_shard_tokenizer(options.tokenizer)),
        files_(list_inputs(options.inputs)),
        record_(folder, settings_of(options, tokenizer_.fingerprint()), files_),
        earlier_(begin()),
        spool_(folder, earlier_ ? earlier_->spool_bytes : 0),
        reader_(options, files_, spool_),
        pool_(threads_for(options.threads)) {}

  void run() {
    resume();
    try {
      work();
    } catch (const Interrupted&) {
      record();
      throw;
    }
    writer_->finish();
    log::info(progress_->summary(now()));
    writer_->control().save_tokenizer(folder_ / "tokenizer");
    replace_file(folder_ / "dataset.json", describe().dump(2) + "\n");
    WorkRecord::remove_files(folder_);  // before what it needs
    ReviewSpool::remove_file(folder_);
  }

 private:
  std::optional<ReviewProgress> begin() {
    const auto json = record_.begin();
    return json ? std::optional(review_progress_from(*json)) : std::nullopt;
  }

  void resume() {
    bool known = true;
    for (const InputFile& file : files_) {
      total_bytes_ += file.bytes;
      known = known && file.is_regular;
    }
    if (!known) total_bytes_ = 0;
    if (earlier_) {
      reader_.restore(*earlier_);
      log::info(fmt::format("going on behind {} reviews", reader_.read().total()));
    }
    progress_.emplace(now());
  }

  void work() {
    const auto taken = [&](std::size_t bytes) {
      since_record_ += bytes;
      if (since_record_ >= options_.journal_bytes) record();
      progress_->update(now());
    };
    reader_.run(pool_, taken);
    // Worth the time on the disk only where there is much to lose.
    if (record_.has_record()) record();
    if (reader_.distinct().total() == 0) {
      throw DataError(fmt::format("no review is left of {}; nothing was written: check --input",
                                  reader_.read().total()));
    }
    writer_.emplace(options_, folder_, tokenizer_, reader_);
    if (earlier_ && earlier_->writing) writer_->restore(*earlier_->writing);
    writer_->run(spool_, pool_, taken);
  }

  void record() {
    ReviewProgress progress;
    reader_.save(progress);
    if (writer_) {
      progress.writing = writer_->save();
    } else if (earlier_ && earlier_->writing) {
      return;  // not yet where the earlier process was
    }
    spool_.sync();
    progress.spool_bytes = spool_.bytes();
    record_.record(to_json(progress));
    since_record_ = 0;
  }

  ordered_json describe() const {
    ordered_json d{{"format_version", data::kDatasetFormatVersion},
                   {"created_by", std::string("ovid-data ") + kVersion},
                   {"kind", "amazon-reviews"},
                   {"tokenizer", "tokenizer"},
                   {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer_.fingerprint())},
                   {"vocabulary_size", writer_->control().vocabulary_size()},
                   {"end_of_text", tokenizer_.end_of_text()}};
    d.update(ordered_json::parse(control_as_json(writer_->control())));
    const std::uint64_t read = reader_.read().total(), with_text = reader_.with_text().total();
    d["stages"] = {{"read", ordered_json::parse(reader_.read().as_json())},
                   {"with_text", ordered_json::parse(reader_.with_text().as_json())},
                   {"distinct", ordered_json::parse(reader_.distinct().as_json())}};
    d["dropped"] = {{"bad_lines", reader_.bad_lines().count()},
                    {"empty", read - with_text},
                    {"repeated_text", with_text - reader_.distinct().total()},
                    {"balance", reader_.parts().front().total() - writer_->training_reviews()}};
    d["first_bad_lines"] = reader_.bad_lines().first();
    d["invalid_utf8_replaced"] = reader_.replaced();
    d.update(ordered_json::parse(writer_->parts_as_json()));
    d["settings"] = {{"validation_fraction", options_.split.validation},
                     {"test_fraction", options_.split.test},
                     {"split", "product"},
                     {"seed", options_.split.seed},
                     {"balance", options_.balance_stars ? "stars" : "none"},
                     {"shard_tokens", options_.shard_tokens}};
    return d;
  }

  Progress::Now now() const {
    return {.bytes = reader_.text_bytes(),
            .documents = reader_.read().total(),
            .tokens = writer_ ? writer_->tokens() : 0,
            .input_read = reader_.input_bytes(),
            .input_total = total_bytes_};
  }

  const AmazonReviewsOptions& options_;
  Path folder_;
  tokenizer::Tokenizer tokenizer_;
  std::vector<InputFile> files_;
  WorkRecord record_;
  std::optional<ReviewProgress> earlier_;
  ReviewSpool spool_;
  ReviewReader reader_;
  WorkPool pool_;
  std::optional<ReviewWriter> writer_;
  std::optional<Progress> progress_;
  std::uint64_t total_bytes_ = 0;
  std::uint64_t since_record_ = 0;
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
  report_end(description, folder);
}

}  // namespace

void run_amazon_reviews(const AmazonReviewsOptions& options) {
  check_fractions(options.split);
  write_dataset(
      {.path = options.output,
       .overwrite = options.overwrite,
       .restart = options.restart,
       .json = options.json},
      [&](const Path& folder) { ReviewJob(options, folder).run(); }, report);
}

}  // namespace ovid::data_tools
