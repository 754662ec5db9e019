#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "data_tools/commands.h"
#include "data_tools/dataset_builder.h"
#include "data_tools/input_files.h"
#include "data_tools/pieces.h"
#include "src/core/file.h"

namespace ovid::data_tools {

// How far `ovid-data text` is.
struct TextProgress {
  InputPlace place;          // behind what was taken
  SeenBefore before;         // the input of `place`
  bool inputs_done = false;  // nothing is left to read
  bool data_error = false;   // an input from `place` on was refused, and is to be mended
  std::uint64_t replacements = 0;
  std::uint64_t documents = 0;  // taken
  std::uint64_t bytes = 0;      // taken
  BuilderState builder;
};

// The record of unfinished work, in its working folder: what was asked for (request.json, written
// once) and how far it is (journal.json, replaced each time).
class TextJournal {
 public:
  static constexpr const char* kName = "journal.json";

  // What decides the result: options, tokenizer, inputs with their sizes and times.
  TextJournal(const Path& folder, const TextOptions& options, std::uint64_t tokenizer_fingerprint,
              std::span<const InputFile> inputs);

  // The progress on record; nothing where there is none: then a new record is begun. Throws
  // UsageError where what was asked for then differs from what is asked for now, naming the
  // differences and the cure; DataError where the record is damaged. After a data error inputs may
  // have changed from the recorded place on, and flags that let such data pass may have come.
  std::optional<TextProgress> begin();

  // Replaces the record. The files that it tells of are on the disk already.
  void record(const TextProgress& progress);
  bool has_record() const { return has_record_; }
  void remove();

 private:
  Path folder_;
  std::string request_;  // JSON
  bool has_record_ = false;
};

}  // namespace ovid::data_tools
