#include "src/metrics/metrics_reader.h"

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/metrics/utf8.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::metrics {
namespace {

MetricsHistory read_text(const std::string& text, const ReadLimits& limits = {}) {
  const test::TemporaryDirectory folder;
  replace_file(folder / "metrics.jsonl", text);
  return read_metrics(folder / "metrics.jsonl", limits);
}

std::string step_line(std::int64_t step, double loss) {
  return to_json(StepRow{step, loss, 1.5, 6e-4, 100 * step, 12345.5, 1.7e9}) + "\n";
}

std::vector<std::int64_t> steps_of(const MetricsHistory& history) {
  std::vector<std::int64_t> out;
  for (const StepRow& row : history.steps) out.push_back(row.step);
  return out;
}

}  // namespace

TEST_CASE("rows of all kinds come back as they were written", "[metrics]") {
  StepRow step{1, 0.1 + 0.2, 1.5, 6e-4, 100, 12345.5, 1700000000.125};
  step.flops_per_second = 4.1e11;
  const ValidationRow validation{1, 3.25, 100, 99, 5.5, 3.125};
  const MetricsHistory history =
      read_text(to_json(step) + "\n" + to_json(validation) + "\n" +
                to_json(EventRow{1, "skipped_update", "loss is \"nan\"\n\xc3\xa4", 6.5}) + "\n");
  REQUIRE(history.steps.size() == 1);
  CHECK(to_json(history.steps[0]) == to_json(step));
  REQUIRE(history.validations.size() == 1);
  CHECK(to_json(history.validations[0]) == to_json(validation));
  REQUIRE(history.events.size() == 1);
  CHECK(history.events[0].event == "skipped_update");
  CHECK(history.events[0].message == "loss is \"nan\"\n\xc3\xa4");
  CHECK(history.ignored_lines == 0);
  CHECK(history.stride == 1);
}

TEST_CASE("what is not finite is read as what it was", "[metrics]") {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const MetricsHistory history = read_text(to_json(StepRow{
      .step = 1, .loss = std::nan(""), .gradient_norm = kInfinity, .learning_rate = -kInfinity}));
  REQUIRE(history.steps.size() == 1);
  CHECK(std::isnan(history.steps[0].loss));
  CHECK(history.steps[0].gradient_norm == kInfinity);
  CHECK(history.steps[0].learning_rate == -kInfinity);
}

TEST_CASE("of repeated steps the last row counts, and a continuation voids what lay beyond it",
          "[metrics]") {
  std::string text;
  for (std::int64_t step = 1; step <= 6; ++step) text += step_line(step, 1.0);
  text += to_json(ValidationRow{6, 9.0, 0, 0, 0}) + "\n";
  text += to_json(EventRow{3, "resumed", "", 0}) + "\n";
  for (std::int64_t step = 4; step <= 5; ++step) text += step_line(step, 2.0);
  const MetricsHistory history = read_text(text);
  CHECK(steps_of(history) == std::vector<std::int64_t>{1, 2, 3, 4, 5});
  CHECK(history.steps[2].loss == 1.0);
  CHECK(history.steps[3].loss == 2.0);
  CHECK(history.events.size() == 1);
}

TEST_CASE("lines that are no rows are counted and left out", "[metrics]") {
  const std::string text = step_line(1, 1.0) + "\n\nhello\n[1,2]\n{\"step\":-1,\"loss\":1}\n" +
                           "{\"loss\":1}\n{\"step\":2}\n{\"step\":\"2\",\"loss\":1}\n" +
                           "{\"step\":2,\"loss\":1\n" + std::string("\0\xff\n", 3) +
                           std::string(2000, '[') + "\n" + step_line(3, 1.0) +
                           "{\"step\":4,\"loss\":1.0,\"gradi";
  const MetricsHistory history = read_text(text);
  CHECK(steps_of(history) == std::vector<std::int64_t>{1, 3});
  CHECK(history.ignored_lines == 10);
}

TEST_CASE("a line beyond the limit is skipped without being held", "[metrics]") {
  ReadLimits limits;
  limits.line_bytes = 1000;
  const MetricsHistory history =
      read_text(step_line(1, 1.0) + "{\"step\":2,\"loss\":1,\"x\":\"" + std::string(600'000, 'x') +
                    "\"}\n" + step_line(3, 1.0) + std::string(5000, 'y'),
                limits);
  CHECK(steps_of(history) == std::vector<std::int64_t>{1, 3});
  CHECK(history.ignored_lines == 2);
}

TEST_CASE("a run of any length fits the limit: steps thin out evenly, the newest stays",
          "[metrics]") {
  std::string text;
  for (std::int64_t step = 1; step <= 1001; ++step) {
    text += step_line(step, static_cast<double>(step));
    text += to_json(EventRow{step, "note", "", 0}) + "\n";
  }
  ReadLimits limits;
  limits.rows = 100;
  limits.events = 7;
  const MetricsHistory history = read_text(text, limits);
  CHECK(history.stride == 16);
  CHECK(history.steps.size() == 63);
  CHECK(history.steps.front().step == 16);
  CHECK(history.steps[61].step == 992);
  CHECK(history.steps.back().step == 1001);
  CHECK(history.events.size() == 7);
  CHECK(history.events.back().step == 1001);
  CHECK(history.all_events == 1001);
}

TEST_CASE("damaged files are read without harm", "[metrics]") {
  std::string whole;
  for (std::int64_t step = 1; step <= 20; ++step) whole += step_line(step, 1.0);
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text = whole;
    for (int i = 0; i < 10; ++i) text[random() % text.size()] = static_cast<char>(random() & 0xff);
    text.resize(random() % text.size());
    const MetricsHistory history = read_text(text);
    CHECK(history.steps.size() <= 20);
    for (std::size_t i = 1; i < history.steps.size(); ++i)
      CHECK(history.steps[i - 1].step < history.steps[i].step);
  }
}

TEST_CASE("a metrics file that is absent, or none, is a data error", "[metrics]") {
  const test::TemporaryDirectory folder;
  CHECK_THROWS_AS(read_metrics(folder / "metrics.jsonl"), DataError);
  CHECK_THROWS_AS(read_metrics(folder.path()), DataError);
  CHECK_THROWS_AS(read_metrics("/dev/zero"), DataError);
  CHECK(read_text("").steps.empty());
}

TEST_CASE("bytes that are not UTF-8 are replaced one by one", "[metrics]") {
  const std::string r = "\xef\xbf\xbd";
  CHECK(valid_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80") ==
        "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  CHECK(valid_utf8("\xff"
                   "a\xc3") == r + "a" + r);
  CHECK(valid_utf8("\xc0\x80") == r + r);                  // overlong
  CHECK(valid_utf8("\xe0\x9f\xbf") == r + r + r);          // overlong
  CHECK(valid_utf8("\xed\xa0\x80") == r + r + r);          // a surrogate
  CHECK(valid_utf8("\xf4\x90\x80\x80") == r + r + r + r);  // above U+10FFFF
  CHECK(valid_utf8("\xf0\x80\x80") == r + r + r);
}

}  // namespace ovid::metrics
