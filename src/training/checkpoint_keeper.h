#pragma once

#include <cstdint>
#include <optional>

#include "src/checkpoint/async_writer.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/training/run_plan.h"

namespace ovid::training {

// Saves the checkpoints of a run, beside the training where the config says so. A failed save must
// not end a run that still computes: the earlier checkpoints stand, and the next may go through;
// three failures in a row do end it.
class CheckpointKeeper {
 public:
  struct News {
    std::optional<std::int64_t> saved;  // this step's checkpoint is now on disk
    double seconds = 0;                 // that it took
    std::string failure;                // why one could not be written; empty: none failed
  };

  // `saved`: the step of the checkpoint that the run continues. With several ranks each has a
  // keeper and calls the same members at the same steps, with what it holds; all are told the same
  // of each save, some steps apart. `ranks.attempt` is the same on all and differs from start to
  // start.
  CheckpointKeeper(const RunPlan& plan, std::optional<std::int64_t> saved,
                   const checkpoint::WritingRanks& ranks = {});

  // Before the first step: takes the memory of the copies that asynchronous saves write from. Where
  // there is none for them, `room` false or the machine short, it says so in the log and the run
  // goes on.
  void prepare(const checkpoint::CheckpointContent& content, bool room);

  // Copies the content and writes it while training goes on; without the memory for a copy, or with
  // checkpoint.asynchronous: false, writes it now. Returns the seconds that the caller was held up.
  // A failure is told by news().
  double save(std::int64_t step, const checkpoint::CheckpointContent& content,
              std::optional<std::int64_t> best_step);

  // Writes it now, after what is still being written. One `in_doubt` takes no other's place: the
  // checkpoints that are kept beside a good one all stay. Throws ResourceError.
  void save_at_end(std::int64_t step, const checkpoint::CheckpointContent& content,
                   std::optional<std::int64_t> best_step, bool in_doubt);

  // Waits for what is still being written; a failure is logged.
  void finish_writing();

  // What happened since the last call, one thing at a time; nothing where nothing did. Throws
  // ResourceError for the third failure in a row.
  std::optional<News> news();

  std::optional<std::int64_t> last_saved() const { return saved_; }  // on disk
  bool begun(std::int64_t step) const { return begun_ == step; }     // on disk or being written

 private:
  checkpoint::CheckpointContent of_next_attempt(const checkpoint::CheckpointContent& content);
  checkpoint::Retention retention(std::optional<std::int64_t> best_step) const;
  void write_now(std::int64_t step, const checkpoint::CheckpointContent& content,
                 const checkpoint::Retention& retention);
  News failed(const std::string& why);

  const RunPlan& plan_;
  checkpoint::WritingRanks ranks_;
  std::uint64_t attempts_ = 0;  // saves begun, the same on all ranks
  std::optional<checkpoint::AsyncCheckpointWriter> writer_;
  std::optional<std::int64_t> saved_, begun_;
  std::optional<News> pending_;
  int failures_ = 0;
};

}  // namespace ovid::training
