#include <fmt/format.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <optional>

#include "data_tools/byte_source.h"
#include "data_tools/commands.h"
#include "data_tools/dataset_files.h"
#include "data_tools/interruption.h"
#include "data_tools/output_folder.h"
#include "data_tools/progress.h"
#include "data_tools/text_journal.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr int kMostThreads = 1024;

ordered_json describe(const SplitResult& split) {
  return {{"documents", split.documents},
          {"tokens", split.tokens},
          {"bytes", split.bytes},
          {"shards", ordered_json::parse(shards_as_json(split.shards))}};
}

struct Totals {
  SeenBefore seen;
  std::uint64_t replacements = 0;
};

ordered_json describe(const TextOptions& options, const tokenizer::Tokenizer& tokenizer,
                      const BuiltDataset& built, const Totals& totals) {
  const bool split = options.split.validation_fraction > 0;
  const WalkCounts& walked = totals.seen.walked;
  return {{"format_version", data::kDatasetFormatVersion},
          {"created_by", std::string("ovid-data ") + kVersion},
          {"tokenizer", "tokenizer"},
          {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer.fingerprint())},
          {"vocabulary_size", tokenizer.vocabulary_size()},
          {"end_of_text", tokenizer.end_of_text()},
          {"files", walked.files},
          {"bytes_read", totals.seen.bytes},
          {"documents", totals.seen.documents},
          {"empty_documents", totals.seen.empty_documents},
          {"lines_without_field", walked.lines_without_field},
          {"bad_lines", walked.bad_lines},
          {"invalid_utf8_replaced", totals.replacements + walked.replaced_in_lines},
          {"train", describe(built.train)},
          {"validation", describe(built.validation)},
          {"settings",
           {{"validation_fraction", options.split.validation_fraction},
            {"split", !split                    ? "none"
                      : built.split_by_document ? "document"
                                                : "position"},
            {"seed", options.split.seed},
            {"field", options.input.field},
            {"shard_tokens", options.split.shard_tokens},
            {"invalid_utf8", name_of(options.invalid_utf8)}}}};
}

void report(const ordered_json& description, const std::string& summary, const Path& folder) {
  log::info(summary);
  for (const char* split : {"train", "validation"}) {
    const ordered_json& part = description[split];
    if (part["tokens"] == 0) continue;
    log::info(fmt::format("{}: {} tokens of {} documents in {} shards", split,
                          part["tokens"].get<std::int64_t>(), part["documents"].get<std::int64_t>(),
                          part["shards"].size()));
  }
  if (description["invalid_utf8_replaced"] != 0) {
    log::warning(fmt::format("{} places were not UTF-8 and became U+FFFD",
                             description["invalid_utf8_replaced"].get<std::int64_t>()));
  }
  if (description["bad_lines"] != 0) {
    log::warning(fmt::format("{} lines were no JSON with a text, and left out",
                             description["bad_lines"].get<std::int64_t>()));
  }
  if (description["lines_without_field"] != 0) {
    log::warning(fmt::format("{} lines had no text, and were left out",
                             description["lines_without_field"].get<std::int64_t>()));
  }
  if (description["empty_documents"] != 0) {
    log::warning(fmt::format("{} documents were empty and left out",
                             description["empty_documents"].get<std::int64_t>()));
  }
  log::info(fmt::format("written to {}", folder.string()));
}

// One run of the command, from its inputs to the complete working folder.
class TextJob {
 public:
  TextJob(const TextOptions& options, const tokenizer::Tokenizer& tokenizer,
          const std::vector<InputFile>& files, const Path& folder, TextJournal& journal)
      : options_(options),
        tokenizer_(tokenizer),
        files_(files),
        folder_(folder),
        journal_(journal),
        input_(options.input),
        pool_(options.threads > 0 ? static_cast<std::size_t>(options.threads) : WorkPool::cores()),
        caches_(pool_.threads()),
        scratch_(pool_.threads()),
        builder_(folder, tokenizer, options.split),
        pieces_(
            options.invalid_utf8, pool_,
            [this](std::size_t worker, Piece& piece) { encode(worker, piece); },
            [this](Piece& piece) { take(piece); }) {
    input_.repair_utf8 = options.invalid_utf8 == InvalidUtf8::kReplace;
  }

  ordered_json run() {
    resume();
    walk();
    const Totals totals{.seen = before_, .replacements = replacements()};
    const BuiltDataset built = builder_.finish();
    tokenizer_.save(folder_ / "tokenizer");
    const ordered_json description = describe(options_, tokenizer_, built, totals);
    replace_file(folder_ / "dataset.json", description.dump(2) + "\n");
    // From here on the work is not gone on from, but only moved in place.
    journal_.remove();
    DocumentSpool::remove_files(folder_);
    summary_ = progress_->summary(now());
    return description;
  }

  const std::string& summary() const { return summary_; }
  bool is_passing_over() const { return pieces_.is_passing_over(); }

  // After Interrupted: keeps what was done, where that can be gone on from.
  void record_if_possible() {
    if (!walking_ || taking_) return;
    pieces_.finish_after_interruption();
    if (bytes_ > recorded_bytes_) record();
  }

  // After a DataError: whether the work is on record and can be gone on from, once the data are
  // mended. A little work is not worth a folder that stays.
  bool record_data_error() {
    if (!walking_ || taking_ || !journal_.has_record()) return false;
    data_error_ = true;
    record();
    return true;
  }

 private:
  void resume() {
    const std::optional<TextProgress> earlier = journal_.begin();
    if (earlier) {
      builder_.restore(earlier->builder);
      pieces_.resume_behind(earlier->place, earlier->before);
      place_ = earlier->place;
      before_ = earlier->before;
      replacements_before_ = earlier->replacements;
      documents_ = earlier->documents;
      bytes_ = recorded_bytes_ = earlier->bytes;
      inputs_done_ = earlier->inputs_done;
      log::info(fmt::format("going on behind {:.1f} MB of text in {} documents",
                            static_cast<double>(bytes_) / 1e6, documents_));
    }
    total_bytes_ = 0;
    bool known = true;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      known = known && files_[i].is_regular;
      total_bytes_ += files_[i].bytes;
      if (i < place_.input) bytes_read_ += files_[i].bytes;
    }
    if (!known) total_bytes_ = 0;
    progress_.emplace(now());
  }

  void walk() {
    if (inputs_done_) return;
    walking_ = true;
    const WalkCounts walked = walk_documents({.options = input_,
                                              .files = files_,
                                              .first = place_.input,
                                              .counts_before = before_.walked,
                                              .bytes_read = &bytes_read_},
                                             pool_, pieces_);
    pieces_.finish();
    before_ = pieces_.seen();
    before_.walked = walked;
    place_ = {.input = files_.size()};
    inputs_done_ = true;
    walking_ = false;
    // Worth the time on the disk only where there is much to lose.
    if (journal_.has_record()) record();
  }

  void encode(std::size_t worker, Piece& piece) {
    std::vector<tokenizer::TokenId>& ids = scratch_[worker];
    ids.clear();
    tokenizer_.encode_append(piece.text, tokenizer::SpecialTokens::kAsText, caches_[worker], ids);
    piece.ids.assign(ids.begin(), ids.end());
  }

  void take(const Piece& piece) {
    taking_ = true;
    if (piece.begins_document) builder_.begin_document();
    builder_.add(piece.ids, piece.text.size());
    place_ = piece.place;
    bytes_ += piece.text.size();
    documents_ += piece.ends_document ? 1 : 0;
    taken_replacements_ += piece.replacements;
    taking_ = false;
    if (bytes_ - recorded_bytes_ >= options_.journal_bytes) record();
    progress_->update(now());
  }

  void record() {
    TextProgress progress{.place = place_,
                          .before = inputs_done_ ? before_ : pieces_.seen_before(place_.input),
                          .inputs_done = inputs_done_,
                          .data_error = data_error_,
                          .replacements = replacements(),
                          .documents = documents_,
                          .bytes = bytes_,
                          .builder = builder_.save()};
    journal_.record(progress);
    builder_.state_is_recorded();
    recorded_bytes_ = bytes_;
  }

  std::uint64_t replacements() const { return replacements_before_ + taken_replacements_; }

  Progress::Now now() const {
    return {.bytes = bytes_,
            .documents = documents_,
            .tokens = builder_.tokens(),
            .input_read = bytes_read_,
            .input_total = total_bytes_};
  }

  const TextOptions& options_;
  const tokenizer::Tokenizer& tokenizer_;
  const std::vector<InputFile>& files_;
  Path folder_;
  TextJournal& journal_;
  InputOptions input_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::uint64_t total_bytes_ = 0;

  // How far the work is, in what was taken.
  InputPlace place_;
  SeenBefore before_;  // of where this process began; once all was read, of everything
  bool inputs_done_ = false;
  bool data_error_ = false;
  std::uint64_t replacements_before_ = 0;  // by earlier processes
  std::uint64_t taken_replacements_ = 0;
  std::uint64_t documents_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t recorded_bytes_ = 0;
  bool walking_ = false;
  bool taking_ = false;

  std::optional<Progress> progress_;
  std::string summary_;
  WorkPool pool_;
  std::vector<tokenizer::EncodeCache> caches_;  // of each worker
  std::vector<std::vector<tokenizer::TokenId>> scratch_;
  DatasetBuilder builder_;
  PieceBatcher pieces_;  // last: its end stops the pool before anything that tasks refer to is gone
};

void tell_of_kept_work(const OutputFolder& output) {
  log::info(
      fmt::format("the work so far is kept in {}; the same command goes on, --restart begins "
                  "anew",
                  output.working_path().string()));
}

// Fills the working folder, or leaves it in the state that is to be kept.
ordered_json fill(const TextOptions& options, OutputFolder& output, std::string& summary) {
  const tokenizer::Tokenizer tokenizer = load_shard_tokenizer(options.tokenizer);
  const std::vector<InputFile> files = list_inputs(options.input.inputs);
  TextJournal journal(output.working_path(), options, tokenizer.fingerprint(), files);
  TextJob job(options, tokenizer, files, output.working_path(), journal);
  try {
    ordered_json description = job.run();
    summary = job.summary();
    return description;
  } catch (Interrupted& interrupted) {
    job.record_if_possible();
    if (journal.has_record()) {
      output.keep();
      interrupted.progress_kept = true;
      tell_of_kept_work(output);
    }
    throw;
  } catch (const ResourceError&) {
    if (journal.has_record()) {
      output.keep();
      tell_of_kept_work(output);
    }
    throw;
  } catch (const UsageError&) {
    if (journal.has_record()) output.keep();
    throw;
  } catch (const DataError&) {
    if (job.is_passing_over()) {
      // An input that has become another one: the right one may be given next time.
      output.keep();
    } else if (job.record_data_error()) {
      output.keep();
      log::info(fmt::format(
          "the work so far is kept in {}; with the data mended the same command goes on, --restart "
          "begins anew",
          output.working_path().string()));
    }
    throw;
  }
}

}  // namespace

void run_text(const TextOptions& options) {
  if (options.threads < 0 || options.threads > kMostThreads) {
    throw UsageError(fmt::format("--threads {} is outside 0 to {} (0: all of this process's cores)",
                                 options.threads, kMostThreads));
  }
  OutputFolder output({.path = options.output,
                       .marker = "dataset.json",
                       .belongs = is_dataset_file,
                       .overwrite = options.overwrite,
                       .journal = TextJournal::kName,
                       .restart = options.restart});
  ordered_json description;
  std::string summary = "the data set was complete already, and is moved in place";
  if (!output.only_commit_is_left()) description = fill(options, output, summary);
  output.commit();
  if (description.is_null()) {
    description = ordered_json::parse(read_file(output.final_path() / "dataset.json"));
  }
  report(description, summary, output.final_path());
  if (options.json) write_output(description.dump() + "\n");
}

}  // namespace ovid::data_tools
