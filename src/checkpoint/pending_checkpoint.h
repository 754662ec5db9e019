#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/checkpoint/manifest.h"
#include "src/core/file.h"

namespace ovid::checkpoint {

// A checkpoint being written, in a directory of its own beside the finished ones. It becomes
// visible by one rename in commit(); destroyed before that, it leaves nothing. With several ranks
// each adds its own files and one commits; this class keeps the files of one rank.
class PendingCheckpoint {
 public:
  // Makes RUN/checkpoints/ and the temporary directory. Throws ResourceError.
  PendingCheckpoint(const Path& run_directory, std::int64_t step);
  ~PendingCheckpoint();
  PendingCheckpoint(const PendingCheckpoint&) = delete;
  PendingCheckpoint& operator=(const PendingCheckpoint&) = delete;

  // Each writes and syncs one file, whose name is one that a Manifest may hold. Throws
  // ResourceError.
  void add_tensors(const std::string& name, std::span<const NamedTensor> tensors);
  void add_text(const std::string& name, std::string_view text);
  void add_copy(const std::string& name, const Path& source);

  // Compares the sizes on disk, writes the manifest, syncs, renames, syncs the parent; returns the
  // final path. Throws ResourceError with the state of before restored.
  Path commit(const Metadata& metadata);

 private:
  Path place_of(const std::string& name);
  void set_previous_aside();
  void undo_rename();

  Path directory_;
  Path temporary_;
  Path final_;
  Path replaced_;  // where an earlier checkpoint of this step waits; empty without one
  Manifest manifest_;
  bool committed_ = false;
};

}  // namespace ovid::checkpoint
