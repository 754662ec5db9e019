#include "src/metrics/progress_line.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "src/core/log.h"
#include "tests/catch.h"

namespace ovid::metrics {
namespace {

// A terminal and a clock that the test moves.
struct Stage {
  double time = 100.0;
  int width = 80;
  std::string output;

  ProgressOptions options(bool terminal, std::int64_t total_steps = 2000) {
    ProgressOptions out;
    out.total_steps = total_steps;
    out.terminal = terminal;
    out.current_width = [this] { return width; };
    out.clock = [this] { return time; };
    out.write = [this](const std::string& bytes) { output += bytes; };
    return out;
  }
  std::string take() { return std::exchange(output, {}); }
};

ProgressStep at(std::int64_t step) {
  return {step, 3.4119, 6e-4, 1.3249, 1230, 0.1};
}

ProgressOptions of(std::int64_t total_steps) {
  return {.total_steps = total_steps};
}

constexpr const char* kLine =
    "step 120/2000  6.0 %  loss 3.412  lr 6.0e-04  |g| 1.32  12.3k tok/s  ETA 3m08s";

RateEstimator steady_rate() {
  RateEstimator rate;
  rate.add_step(0.1, 1230);
  return rate;
}

}  // namespace

TEST_CASE("the line shows the step, the numbers, the speed and the time left", "[metrics]") {
  const RateEstimator rate = steady_rate();
  CHECK(format_progress(at(120), of(2000), rate, 0) == kLine);
  CHECK(format_progress(at(120), of(2000), rate, 78) == kLine);
  CHECK(format_progress(at(1000), of(2000), rate, 110) ==
        "[==========          ]  step 1000/2000  50.0 %  loss 3.412  lr 6.0e-04  |g| 1.32  12.3k "
        "tok/s  ETA 1m40s");
  CHECK(format_progress(at(2000), of(2000), rate, 0) ==
        "step 2000/2000  100.0 %  loss 3.412  lr 6.0e-04  |g| 1.32  12.3k tok/s");
  CHECK(format_progress(at(0), of(2000), RateEstimator(), 0) ==
        "step 0/2000  0.0 %  loss 3.412  lr 6.0e-04  |g| 1.32");
  ProgressStep diverged = at(1);
  diverged.loss = std::numeric_limits<double>::quiet_NaN();
  diverged.gradient_norm = 12345.0;
  CHECK(format_progress(diverged, of(2), RateEstimator(), 0) ==
        "step 1/2  50.0 %  loss nan  lr 6.0e-04  |g| 1.2e+04");
}

TEST_CASE("the line shows the arithmetic speed, its share of the peak, and what else is known",
          "[metrics]") {
  RateEstimator rate;
  rate.add_step(0.1, 1230, 41.2e9);
  ProgressStep step = at(120);
  ProgressOptions options = of(2000);
  const std::string line = kLine;
  CHECK(format_progress(step, options, rate, 0) == line + "  412 GFLOP/s");
  options.peak_flops_per_second = 528e9;
  CHECK(format_progress(step, options, rate, 0) == line + "  412 GFLOP/s 78 %");
  step.validation_loss = 3.5012;
  step.epoch = 0.314;
  CHECK(format_progress(step, options, rate, 0) ==
        line + "  val 3.501  412 GFLOP/s 78 %  epoch 0.31");
  CHECK(format_progress(step, options, rate, 100) == line + "  val 3.501");
  RateEstimator fast;
  fast.add_step(0.1, 1230, 41.2e12);
  CHECK_THAT(format_progress(at(120), of(2000), fast, 0), Catch::EndsWith("  412 TFLOP/s"));
}

TEST_CASE("the line never is wider than the terminal, and whole fields go first", "[metrics]") {
  const RateEstimator rate = steady_rate();
  for (int width = 1; width <= 140; ++width) {
    const std::string line = format_progress(at(120), of(2000), rate, width);
    CHECK(line.size() <= static_cast<std::size_t>(width));
    CHECK_FALSE(line.empty());
  }
  CHECK(format_progress(at(120), of(2000), rate, 77).ends_with("12.3k tok/s"));
  CHECK(format_progress(at(120), of(2000), rate, 14) == "step 120/2000");
  CHECK(format_progress(at(120), of(2000), rate, 6) == "step 1");
}

TEST_CASE("counts and durations are short", "[metrics]") {
  CHECK(format_count(0) == "0.0");
  CHECK(format_count(950) == "950");
  CHECK(format_count(999.6) == "1.00k");
  CHECK(format_count(12345) == "12.3k");
  CHECK(format_count(123456) == "123k");
  CHECK(format_count(999'700) == "1.00M");
  CHECK(format_count(4.56e6) == "4.56M");
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(59.6) == "1m00s");
  CHECK(format_duration(192) == "3m12s");
  CHECK(format_duration(5 * 3600 + 7 * 60) == "5h07m");
  CHECK(format_duration(3599.9) == "1h00m");
  CHECK(format_duration(86399) == "1d00h");
  CHECK(format_duration(51 * 3600) == "2d03h");
  CHECK(format_duration(-1) == "?");
  CHECK(format_duration(1e300) == "?");
}

TEST_CASE("a terminal line is rewritten at most ten times a second, and for the last step",
          "[metrics]") {
  Stage stage;
  ProgressLine line(stage.options(true));
  line.update(at(120));
  CHECK(stage.take() == "\r" + std::string(kLine) + "\x1b[K");
  stage.time += 0.09;
  line.update(at(121));
  CHECK(stage.take().empty());
  stage.time += 0.02;
  line.update(at(122));
  CHECK_THAT(stage.take(), Catch::StartsWith("\rstep 122/2000"));
  stage.width = 30;
  line.update(at(2000));
  CHECK(stage.take() == "\rstep 2000/2000  100.0 %\x1b[K");
  line.finish();
  CHECK(stage.take() == "\n");
  line.finish();
  line.update(at(3));
  CHECK(stage.take().empty());
}

TEST_CASE("finish draws a step that the clock held back", "[metrics]") {
  Stage stage;
  ProgressLine line(stage.options(true));
  line.update(at(1));
  line.update(at(2));
  stage.take();
  line.finish();
  CHECK_THAT(stage.take(), Catch::StartsWith("\rstep 2/2000") && Catch::EndsWith("\n"));
}

TEST_CASE("without a terminal there are plain lines, for the first and last step and now and then",
          "[metrics]") {
  Stage stage;
  ProgressLine line(stage.options(false, 100));
  for (std::int64_t step = 1; step <= 100; ++step) {
    line.update(at(step));
    stage.time += 0.3;
  }
  line.finish();
  std::vector<std::string> starts;
  std::string text = stage.take();
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  for (std::size_t i = 0; i < text.size(); i = text.find('\n', i) + 1)
    starts.push_back(text.substr(i, text.find(' ', i + 5) - i));
  CHECK(starts ==
        std::vector<std::string>{"step 1/100", "step 35/100", "step 69/100", "step 100/100"});
}

TEST_CASE("a log message takes the line off the terminal and puts it back below", "[metrics]") {
  Stage stage;
  {
    ProgressLine line(stage.options(true));
    log::info("before the first step");
    CHECK(stage.take().empty());
    line.update(at(120));
    stage.take();
    log::info("in the middle");
    CHECK(stage.take() == "\r\x1b[K\r" + std::string(kLine) + "\x1b[K");
  }
  CHECK(stage.take() == "\n");
  log::info("after the line is gone");
  CHECK(stage.take().empty());
}

TEST_CASE("the speed is the median of the last steps", "[metrics]") {
  RateEstimator rate(5);
  CHECK_FALSE(rate.seconds_per_step().has_value());
  CHECK_FALSE(rate.seconds_left(10).has_value());
  for (const double seconds : {1.0, 1.0, 100.0, 1.0}) rate.add_step(seconds, 10);
  CHECK(rate.seconds_per_step() == 1.0);  // one stall moves nothing
  CHECK(rate.tokens_per_second() == 10.0);
  CHECK(rate.seconds_left(30) == 30.0);
  CHECK(rate.seconds_left(-1) == 0.0);
  for (int i = 0; i < 5; ++i) rate.add_step(0.5, 10);
  CHECK(rate.seconds_per_step() == 0.5);  // older steps are forgotten
  for (const double seconds : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()})
    rate.add_step(seconds, 10);
  CHECK(rate.seconds_per_step() == 0.5);
  RateEstimator even(4);
  even.add_step(1.0, 1);
  even.add_step(3.0, 1);
  CHECK(even.seconds_per_step() == 2.0);
}

}  // namespace ovid::metrics
