#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/checkpoint/manifest.h"
#include "src/checkpoint/rank_records.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"

namespace ovid::checkpoint {

// A checkpoint being written, in a directory of its own beside the finished ones. It becomes
// visible by one rename in commit(); destroyed before that, it leaves nothing. With several ranks
// each adds its own files to the same directory: that of rank 0, which alone makes it, collects
// what the others did, and commits or drops it.
class PendingCheckpoint {
 public:
  // On rank 0 makes RUN/checkpoints/ and the temporary directory; on others waits for it. Throws
  // ResourceError.
  PendingCheckpoint(const Path& run_directory, std::int64_t step, const WritingRanks& ranks = {},
                    const Hurry* hurry = nullptr);
  ~PendingCheckpoint();
  PendingCheckpoint(const PendingCheckpoint&) = delete;
  PendingCheckpoint& operator=(const PendingCheckpoint&) = delete;

  // Each writes and syncs one file, whose name is one that a Manifest may hold. Throws
  // ResourceError.
  void add_tensors(const std::string& name, std::span<const NamedTensor> tensors);
  // A file that several ranks write, as write_safetensors_parts.
  void add_tensor_parts(const std::string& name, std::span<const NamedTensor> whole,
                        std::span<const NamedTensor> parts);
  void add_text(const std::string& name, std::string_view text);
  void add_copy(const std::string& name, const Path& source);

  // What ranks other than 0 do in commit()'s place: leave_files tells rank 0 that all files of this
  // rank are durable, leave_failure why not, and await_commit waits for what rank 0 makes of it and
  // throws ResourceError where that is no checkpoint.
  void leave_files();
  void leave_failure(const std::string& why) noexcept;
  bool was_dropped() const;
  Path await_commit(const Hurry* hurry);

  // On rank 0: the files of all others, when they are durable. Throws ResourceError.
  void collect(const Hurry* hurry);

  // Compares the sizes on disk, writes the manifest, syncs, renames, syncs the parent; returns the
  // final path. Throws ResourceError with the state of before restored.
  Path commit(const Metadata& metadata);

 private:
  Path place_of(const std::string& name);
  void set_previous_aside();
  void undo_rename();
  void make_temporary(const Path& run_directory);
  void sync_folders() const;
  Path dropped_mark() const;
  [[noreturn]] void refuse_dropped() const;

  WritingRanks ranks_;
  Path directory_;
  Path temporary_;
  Path final_;
  Path replaced_;  // where an earlier checkpoint of this step waits; empty without one
  Manifest manifest_;
  bool committed_ = false;
};

}  // namespace ovid::checkpoint
