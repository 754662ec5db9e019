#pragma once

#include <optional>
#include <span>
#include <string>

#include "data_tools/input_files.h"
#include "src/core/file.h"

namespace ovid::data_tools {

// The record of unfinished work, in its working folder: what was asked for (request.json, written
// once) and how far it is (journal.json, replaced each time).
class WorkRecord {
 public:
  static constexpr const char* kName = "journal.json";

  // What decides the result: `settings`, a JSON object by flag, and the inputs with their sizes and
  // times.
  WorkRecord(const Path& folder, const std::string& settings, std::span<const InputFile> inputs);

  // The progress on record, as it was given to record(); nothing where there is none: then a new
  // record is begun. Throws UsageError where what was asked for then differs from what is asked for
  // now, naming the differences and the cure; DataError where the record is damaged.
  std::optional<std::string> begin();

  // Replaces the record. The files that it tells of are on the disk already.
  void record(const std::string& progress);
  bool has_record() const { return has_record_; }
  static void remove_files(const Path& folder);

 private:
  Path folder_;
  std::string request_;  // JSON
  bool has_record_ = false;
};

}  // namespace ovid::data_tools
