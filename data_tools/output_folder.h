#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "src/core/file.h"

namespace ovid::data_tools {

struct OutputFolderOptions {
  std::string path;
  // The name that makes what is written complete, and arrives last.
  std::string marker;
  // Which names in the folder are part of what is written.
  std::function<bool(const std::string& name)> belongs;
  bool overwrite = false;
  // The file of the working folder that makes unfinished work worth keeping; empty: none is kept.
  std::string journal = {};
  bool restart = false;  // begin anew although there is such work
};

// A folder that appears whole or not at all. Files are written into a working folder beside it
// (inside it, where it exists already), which commit() renames, and which the destructor removes
// where neither commit() nor keep() was reached.
class OutputFolder {
 public:
  // Where a journal is named, the working folder has the same name in each run, belongs to one
  // process at a time, and is found as it was left if it holds the journal; otherwise it is empty.
  // Throws UsageError where the folder holds names that belong to the output already and
  // `overwrite` is not set, where the path is a file, or another process works on it; ResourceError
  // where it cannot be made.
  explicit OutputFolder(OutputFolderOptions options);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const Path& working_path() const { return working_; }
  const Path& final_path() const { return final_; }

  // Everything was written by an earlier process, which ended while it moved things in place: only
  // commit() is left to do.
  bool only_commit_is_left() const;

  // The destructor leaves the working folder, so that the next process can go on.
  void keep() { keep_ = true; }

  // Moves everything in place and syncs. A folder that was not there appears in one step; in one
  // that was, old files are removed first and the marker comes last, so that no mixture has a
  // marker.
  void commit();

 private:
  void refuse_to_overwrite() const;
  void clear_working_folder() const;
  void remove_temporaries() const;  // of replace_file, in a process that was killed

  OutputFolderOptions options_;
  Path final_;
  Path working_;
  bool existed_ = false;
  bool keep_ = false;
  std::optional<FileLock> lock_;
};

// Cuts a file of unfinished work back to its first `bytes` bytes, and gives its path. Throws
// DataError where it holds less, ResourceError where it cannot be cut.
Path cut_back(const Path& path, std::uint64_t bytes);

}  // namespace ovid::data_tools
