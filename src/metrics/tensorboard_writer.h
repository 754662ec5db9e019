#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "src/core/file.h"

namespace ovid::metrics {

using HyperparameterValue = std::variant<double, std::string, bool>;

// How a session ended, as TensorBoard's table of hyperparameters shows it.
enum class SessionStatus { kSuccess, kFailure, kRunning };

struct TaggedScalar {
  std::string_view tag;
  double value = 0.0;
};

// Writes what TensorBoard shows of a run: RUN/events.out.tfevents.<time>.<host>.<pid>.<n>, a new
// file for every process, since a record that a crash tore must stay the last of its file. The file
// appears with its first record. Every call is one write to the file when it returns (not to the
// disk), so that TensorBoard follows a run as it goes.
//
// A resumed run repeats steps; the session begins with a mark at `first_step`, and TensorBoard
// drops what earlier files say of that step and later ones.
//
// metrics.jsonl is the record of a run and these files are a view of it: a write that fails (a full
// disk) never stops the training. It is dropped whole, counted, and warned about once, then again
// when records go through after it. Times are seconds since 1970-01-01 UTC. Values are stored as
// float32. Not thread-safe.
// Source: TensorFlow's event.proto, summary.proto and record format; hand-encoded.
class TensorBoardWriter {
 public:
  // `first_step`: the first step that this process will report (the resumed step + 1; 1 or 0 for a
  // new run). Never throws for what the disk does.
  TensorBoardWriter(const Path& run_directory, double start_time, std::int64_t first_step = 0);
  ~TensorBoardWriter();
  TensorBoardWriter(const TensorBoardWriter&) = delete;
  TensorBoardWriter& operator=(const TensorBoardWriter&) = delete;

  void scalar(std::string_view tag, std::int64_t step, double value, double time);

  // Several scalars of one step, in one record.
  void scalars(std::int64_t step, std::span<const TaggedScalar> values, double time);

  // A text sample. Shown as it is: TensorBoard would read it as Markdown, hence it goes out as an
  // indented code block. Invalid UTF-8 becomes U+FFFD.
  void text(std::string_view tag, std::int64_t step, std::string_view text, double time);

  // The settings of this session, keys dotted ("optimizer.learning_rate"); once, at the start. Runs
  // are compared by them in the HParams tab. `group` ties sessions of one run: its name.
  void hyperparameters(const std::map<std::string, HyperparameterValue>& values,
                       std::string_view group, double time);

  // The session's end, after the last scalar.
  void finish(SessionStatus status, double time);

  std::int64_t dropped_records() const { return dropped_records_; }
  const Path& path() const { return path_; }  // empty before the first record

 private:
  bool open_file();
  void write_event(std::string_view event);
  void drop(int reason);

  Path directory_;
  Path path_;
  std::string head_;  // the records that every file begins with
  double start_time_ = 0.0;
  int descriptor_ = -1;
  std::int64_t dropped_records_ = 0;
  bool empty_ = true;  // the file lacks its head
  bool failing_ = false;
};

}  // namespace ovid::metrics
