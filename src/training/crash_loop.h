#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/core/error.h"
#include "src/core/file.h"

namespace ovid::training {

// Starting the run again would fail again.
struct DoNotRequeueError : Error {
  explicit DoNotRequeueError(const std::string& message)
      : Error(ExitCode::kDoNotRequeue, message) {}
};

// Ends a run that is restarted again and again without getting anywhere. RUN/starts.json counts the
// starts in a row that took no step beyond the best known one, and after some of them refuses
// another. The count begins anew with progress, with a start that ends in an orderly way, and with
// a changed config. One writer: rank 0, under the run's lock.
class CrashLoopBreaker {
 public:
  struct Options {
    Path file;
    Path metrics;                  // metrics.jsonl; may be absent
    std::string_view config;       // resolved
    std::int64_t most_starts = 3;  // without progress; 0: any number
  };

  // Counts this start. Throws DoNotRequeueError where most_starts before it brought nothing;
  // ResourceError. The best known step is that of the file or of the newest rows of the metrics. A
  // damaged file counts as none.
  explicit CrashLoopBreaker(const Options& options);

  // After every step: `step` of them are done now. Writes the file once in a start, at the first
  // step that is progress. A file that cannot be written is warned about once.
  void note_step(std::int64_t step);

  // Where the run ends as it should: done, stopped by a signal, refused for a reason that names its
  // cure.
  void note_orderly_end();

 private:
  void write(int starts);
  void write_or_warn(int starts);

  Path file_;
  std::string config_hash_;
  std::int64_t best_step_ = 0;
  bool reset_ = false;
};

}  // namespace ovid::training
