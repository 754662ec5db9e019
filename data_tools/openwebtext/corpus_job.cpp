#include "data_tools/openwebtext/corpus_job.h"

#include <fmt/format.h>

#include <filesystem>

#include "data_tools/document_spool.h"
#include "data_tools/interruption.h"
#include "data_tools/openwebtext/dataset_writer.h"
#include "data_tools/openwebtext/passport.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::data_tools::openwebtext {
namespace {

constexpr const char* kMarksName = "evaluation.marks";

WorkState new_state(const Options& options) {
  return {.place = {}, .spool = {}, .ledger = Ledger(options.samples)};
}

}  // namespace

CorpusJob::CorpusJob(const Options& options, const tokenizer::Tokenizer& tokenizer,
                     const std::vector<InputFile>& inputs, EvaluationSets& evaluation,
                     const Path& folder, Journal& journal)
    : options_(options),
      tokenizer_(tokenizer),
      inputs_(inputs),
      evaluation_(evaluation),
      folder_(folder),
      duplicates_folder_(folder / "duplicates"),
      journal_(journal),
      state_(new_state(options)),
      pool_(options.threads > 0 ? static_cast<std::size_t>(options.threads) : WorkPool::cores()) {
  for (std::size_t i = 0; i < pool_.threads(); ++i) {
    stages_.push_back(
        std::make_unique<DocumentStages>(options.stages, tokenizer, evaluation.overlap.get()));
  }
}

CorpusJob::~CorpusJob() = default;

void CorpusJob::run() {
  begin();
  if (state_.phase == Phase::kReading) read_all();
  if (state_.phase == Phase::kRead) write();
  clean_up();
}

void CorpusJob::begin() {
  if (std::optional<WorkState> earlier = journal_.begin()) {
    state_ = std::move(*earlier);
    recorded_bytes_ = state_.ledger.bytes_read();
    log::info(fmt::format("going on behind {:.1f} MB of text in {} documents",
                          static_cast<double>(recorded_bytes_) / 1e6,
                          state_.ledger.documents_read()));
    if (evaluation_.overlap && std::filesystem::exists(folder_ / kMarksName)) {
      evaluation_.overlap->restore_marks(read_file(folder_ / kMarksName, 64ull << 30));
    }
  }
  if (state_.phase == Phase::kWritten) return;
  make_directories(duplicates_folder_);
  const std::uint64_t memory = options_.memory_mib << 20;
  const std::uint64_t documents = state_.spool.documents;
  spool_.emplace(folder_, state_.spool);
  exact_.emplace(duplicates_folder_, memory, documents);
  near_.emplace(duplicates_folder_,
                duplicates::NearDuplicateSettings{.threshold = options_.near_duplicate_threshold,
                                                  .memory_bytes = memory},
                documents);
}

void CorpusJob::read_all() {
  bool known = true;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    known = known && inputs_[i].is_regular;
    total_bytes_ += inputs_[i].bytes;
    if (i < state_.place.input) bytes_read_ += inputs_[i].bytes;
  }
  if (!known) total_bytes_ = 0;
  progress_.emplace(now());
  work_.emplace(
      pool_,
      [this](std::size_t worker, WorkedItem& worked) {
        worked.outcome = (*stages_[worker])(worked.item);
      },
      [this](WorkedItem& worked) { take_worked(worked); });
  reading_ = true;
  check_limits();
  const Place from = state_.place;
  CorpusReader(options_.read, inputs_, pool_, bytes_read_).walk(from, *this);
  work_->finish();
  reading_ = false;
  state_.phase = Phase::kRead;
  record();
  log::info(progress_->summary(now()));
  progress_.reset();
}

void CorpusJob::take(Item&& item, const Place& behind) {
  const std::size_t bytes = item.text.size();
  work_->add({.item = std::move(item), .behind = behind, .outcome = {}}, bytes);
}

void CorpusJob::end_input(std::uint64_t input, std::uint64_t bytes, const std::string& checksum) {
  state_.ledger.set_input(input,
                          {.path = inputs_[input].path, .bytes = bytes, .checksum = checksum});
}

void CorpusJob::take_worked(WorkedItem& worked) {
  taking_ = true;
  const Outcome& outcome = worked.outcome;
  state_.ledger.count(worked.item, outcome);
  if (!outcome.dropped) {
    spool_->add({.name = worked.item.name,
                 .text_bytes = outcome.text_bytes,
                 .overlap_ngrams = outcome.overlap.ngrams,
                 .overlap_found = outcome.overlap.found,
                 .tokens = outcome.ids});
    exact_->add(outcome.hash);
    near_->add(outcome.signature);
    state_.tokens += static_cast<std::int64_t>(outcome.ids.size()) + 1;
  }
  state_.place = worked.behind;
  taking_ = false;
  worked = {};  // its memory is needed by what follows
  check_limits();
  if (state_.ledger.bytes_read() - recorded_bytes_ >= options_.journal_bytes) record();
  progress_->update(now());
}

void CorpusJob::check_limits() const {
  const Ledger& ledger = state_.ledger;
  const auto first = [&] {
    return ledger.first_bad().empty() ? std::string() : ledger.first_bad().front();
  };
  if (ledger.damaged() > options_.most_damaged_archives) {
    throw DataError(
        fmt::format("{} damaged archives, and --max-damaged-archives is {}; copy them again, or "
                    "raise the limit to go on without what is behind the damage. The first thing "
                    "left out: {}",
                    ledger.damaged(), options_.most_damaged_archives, first()));
  }
  if (ledger.bad() > options_.most_bad_documents) {
    throw DataError(fmt::format(
        "{} bad documents, and --max-bad-documents is {}; mend them or raise the limit. The first "
        "thing left out: {}",
        ledger.bad(), options_.most_bad_documents, first()));
  }
}

void CorpusJob::record() {
  spool_->sync();
  exact_->sync();
  near_->sync();
  state_.spool = spool_->state();
  // Marks of documents behind this record do no harm: the same documents make them again.
  if (evaluation_.overlap) replace_file(folder_ / kMarksName, evaluation_.overlap->marks());
  sync_directory(folder_);
  journal_.record(state_);
  recorded_bytes_ = state_.ledger.bytes_read();
}

void CorpusJob::record_if_possible() {
  if (!reading_ || taking_) return;
  work_.reset();  // no thread looks anything up any more
  if (state_.ledger.documents_read() > 0) record();
}

void CorpusJob::write() {
  const auto tell = [](const char* what) {
    return [what, told = 0](double done) mutable {
      check_interruption();
      const int tenths = static_cast<int>(done * 10);
      if (tenths > told) log::info(fmt::format("{}: {} %", what, 10 * tenths));
      told = std::max(told, tenths);
    };
  };
  const duplicates::ExactDuplicates exact = exact_->finish();
  check_interruption();
  const duplicates::NearDuplicates near = near_->finish(tell("looking for near-duplicates"));
  const SpooledTokens spooled(folder_, state_.spool);
  std::uint64_t done = 0;
  const auto writing = [&] {
    return Progress::Now{.bytes = 0,
                         .documents = state_.ledger.tally(Stage::kOverlap).documents_out,
                         .input_read = done,
                         .input_total = state_.spool.bytes};
  };
  BuiltDataset built;
  {
    Progress progress(writing());
    const DatasetInputs late{.spooled = spooled, .exact = exact, .near = near};
    built = write_shards(late, options_, tokenizer_, folder_, state_.ledger, [&](std::uint64_t at) {
      done = at;
      progress.update(writing());
    });
  }
  tokenizer_.save(folder_ / "tokenizer");
  const PassportFacts facts{.options = options_,
                            .tokenizer = tokenizer_,
                            .ledger = state_.ledger,
                            .evaluation = evaluation_,
                            .built = built};
  const std::string passport = passport_as_json(facts);
  replace_file(folder_ / kPassportName, passport);
  replace_file(folder_ / kPassportPageName, passport_as_html(passport));
  replace_file(folder_ / "dataset.json", dataset_as_json(facts));
  state_.phase = Phase::kWritten;
  journal_.record(state_);
}

void CorpusJob::clean_up() {
  spool_.reset();
  exact_.reset();
  near_.reset();
  std::filesystem::remove_all(duplicates_folder_);
  for (const char* name : {"documents.spool", "documents.offsets", kMarksName}) {
    std::filesystem::remove(folder_ / name);
  }
  journal_.remove();
}

Progress::Now CorpusJob::now() const {
  return {.bytes = state_.ledger.bytes_read(),
          .documents = state_.ledger.documents_read(),
          .tokens = state_.tokens,
          .input_read = bytes_read_,
          .input_total = total_bytes_};
}

}  // namespace ovid::data_tools::openwebtext
