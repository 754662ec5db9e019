#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "src/metrics/rate_estimator.h"

namespace ovid::metrics {

// What the line shows of one finished step.
struct ProgressStep {
  std::int64_t step = 0;  // steps done, in [0, total_steps]
  double loss = 0.0;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;
  std::int64_t tokens = 0;  // of this step
  double seconds = 0.0;     // of this step alone, without validation and saving
  double flops = 0.0;       // floating-point operations of this step; 0: unknown
  std::optional<double> validation_loss = std::nullopt;  // the newest
  std::optional<double> epoch = std::nullopt;            // passes over the training data so far
};

struct ProgressOptions {
  std::int64_t total_steps = 0;
  bool terminal = false;  // rewrite one line; else plain lines
  int width = 80;         // columns of the terminal
  double plain_every_seconds = 10.0;
  double peak_flops_per_second = 0.0;             // of the machine, measured; 0: unknown
  std::function<int()> current_width;             // asked at each drawing where set
  std::function<double()> clock;                  // monotonic seconds
  std::function<void(const std::string&)> write;  // bytes for the terminal
};

// The options of this process: standard error, its width, a monotonic clock. Plain lines where
// standard error is no terminal, and where NO_COLOR, CI or TERM=dumb asks for them.
ProgressOptions standard_error_progress(std::int64_t total_steps);

// A bar and the newest numbers of a training run, for people. On a terminal one line, rewritten at
// most ten times a second and cut to the width; otherwise a plain line for the first and last step
// and every plain_every_seconds. While it lives on a terminal, log messages clear the line and draw
// it again below (log::set_terminal_hooks); only one may live at a time. The time left comes from
// the steps' own seconds. update and finish come from one thread; log messages from any.
class ProgressLine {
 public:
  explicit ProgressLine(ProgressOptions options);
  ~ProgressLine();  // leaves the cursor on a fresh line
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void update(const ProgressStep& step);
  void finish();  // draws the newest step; later updates are ignored

  void clear();   // takes the line off the terminal, for output of another origin
  void redraw();  // puts it back

 private:
  void draw();  // under the lock
  void write(const std::string& bytes) const;

  mutable std::mutex lock_;
  ProgressOptions options_;
  RateEstimator rate_;
  ProgressStep newest_;
  double last_drawn_ = 0.0;  // by the clock
  bool drawn_once_ = false;
  bool newest_drawn_ = true;  // nothing newer than what was drawn last
  bool visible_ = false;      // the cursor stands on the line
  bool finished_ = false;
};

// "step 120/2000   6.0 %  loss 3.412  lr 6.0e-04  |g| 1.32  12.3k tok/s  ETA 3m12s  val 3.501
// 412 GFLOP/s 78 %  epoch 0.31" in one line, with a bar in front where `width` leaves room for one;
// whole fields are left out from the right until the rest fits `width` columns (0: no limit). The
// share is of peak_flops_per_second. What is unknown has no field.
std::string format_progress(const ProgressStep& step, const ProgressOptions& options,
                            const RateEstimator& rate, int width);

std::string format_count(double value);       // three digits: 950, 12.3k, 4.56M
std::string format_duration(double seconds);  // 42s, 3m12s, 5h07m, 2d03h

}  // namespace ovid::metrics
