#pragma once

#include <optional>
#include <span>
#include <string>

#include "data_tools/input_files.h"
#include "data_tools/openwebtext/command.h"
#include "data_tools/openwebtext/corpus_reader.h"
#include "data_tools/openwebtext/ledger.h"
#include "data_tools/openwebtext/token_spool.h"

namespace ovid::data_tools::openwebtext {

// What decides the result, as JSON; the keys are the flags.
std::string settings_as_json(const Options& options, std::uint64_t tokenizer_fingerprint);

enum class Phase { kReading, kRead, kWritten };

// How far the work is.
struct WorkState {
  Phase phase = Phase::kReading;
  Place place;            // behind what was taken
  TokenSpoolState spool;  // as many documents are in the finders
  std::int64_t tokens = 0;
  Ledger ledger;
};

// The record of unfinished work, in its working folder: what was asked for (request.json) and how
// far it is (journal.json, replaced each time).
class Journal {
 public:
  static constexpr const char* kName = "journal.json";

  Journal(const Path& folder, const Options& options, std::uint64_t tokenizer_fingerprint,
          std::span<const InputFile> inputs, std::span<const InputRecord> evaluation);

  // The state on record; nothing where there is none: then a new record is begun. Throws UsageError
  // where what was asked for then differs from what is asked for now, DataError where the record is
  // damaged.
  std::optional<WorkState> begin();
  // Replaces the record. The files that it tells of are on the disk already.
  void record(const WorkState& state);
  bool has_record() const { return has_record_; }
  void remove();

 private:
  Path folder_;
  std::string request_;  // JSON
  bool has_record_ = false;
};

}  // namespace ovid::data_tools::openwebtext
