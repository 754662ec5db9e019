#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "src/checkpoint/run_checkpoint.h"
#include "src/core/file.h"

namespace ovid::checkpoint {

// Bytes of memory that a copy of the content's tensors takes: what an AsyncCheckpointWriter holds
// from prepare() or its first save on, beside the tensors themselves.
std::uint64_t snapshot_bytes(const CheckpointContent& content);

struct SavedCheckpoint {
  Path path;
  std::int64_t step = 0;
  double write_seconds =
      0;  // from the end of the copy until durable, `latest` set, old ones pruned
};

// For how long save() held up its caller.
struct SaveDelay {
  double waited_seconds = 0;  // for the write of the save before
  double copied_seconds = 0;
  double total_seconds() const { return waited_seconds + copied_seconds; }
};

// Writes checkpoints of a run while training goes on: save() copies all tensors and texts into
// memory of its own, which it reuses; one thread then does what write_checkpoint does. At most one
// write is in flight. All members are for one thread.
class AsyncCheckpointWriter {
 public:
  // `copy_threads`: threads that copy, at least 1. No memory is taken yet.
  AsyncCheckpointWriter(const Path& run_directory, int copy_threads);
  // Waits for the write in flight; for other ranks' parts of it some seconds only, so that what
  // ends this rank ends it soon. A failure that neither poll() nor wait() told is logged.
  ~AsyncCheckpointWriter();
  AsyncCheckpointWriter(const AsyncCheckpointWriter&) = delete;
  AsyncCheckpointWriter& operator=(const AsyncCheckpointWriter&) = delete;

  // Takes the memory that a copy of such a content needs and touches all of it, so that the first
  // save takes no longer than later ones. Where a copy was taken already it does nothing. Throws
  // ResourceError where the machine has not the memory; a save() may be tried all the same.
  void prepare(const CheckpointContent& content);

  // Returns when everything is copied: the tensors may change at once. Where the save before is
  // still being written it waits for that first, and logs so where that takes long; its outcome
  // stays for poll() or wait(). Throws ResourceError, with nothing begun, where the machine has not
  // the memory for the copy (write_checkpoint needs none: call that instead), UsageError for the
  // retention.
  SaveDelay save(std::int64_t step, const CheckpointContent& content, const Retention& retention);

  // The oldest outcome not yet told, a success or the thrown ResourceError of a failed write;
  // nothing where there is none. poll() never waits; wait() waits for the write in flight, so that
  // nothing means that all that was saved is on disk and told.
  std::optional<SavedCheckpoint> poll();
  std::optional<SavedCheckpoint> wait();

  bool writing() const;
  // Bytes of the copy that are held now.
  std::uint64_t held_bytes() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ovid::checkpoint
