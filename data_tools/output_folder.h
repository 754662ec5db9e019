#pragma once

#include <functional>
#include <string>

#include "src/core/file.h"

namespace ovid::data_tools {

// A folder that appears whole or not at all. Files are written into a temporary folder beside it
// (inside it, where it exists already), which commit() renames, and which the destructor removes
// where commit() was not reached.
class OutputFolder {
 public:
  // `belongs` tells which names in the folder are part of what is written; `marker` is the one that
  // makes it complete, and arrives last. Throws UsageError where the folder holds such names
  // already and `overwrite` is not set, or the path is a file; ResourceError where it cannot be
  // made.
  using Belongs = std::function<bool(const std::string& name)>;
  OutputFolder(const std::string& path, const std::string& marker, Belongs belongs, bool overwrite);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const Path& working_path() const { return temporary_; }
  const Path& final_path() const { return final_; }

  // Moves everything in place and syncs. A folder that was not there appears in one step; in one
  // that was, old files are removed first and the marker comes last, so that no mixture has a
  // marker.
  void commit();

 private:
  Path final_;
  Path temporary_;
  std::string marker_;
  Belongs belongs_;
  bool existed_ = false;
};

}  // namespace ovid::data_tools
