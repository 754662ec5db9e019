#include "src/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "src/core/error.h"
#include "src/metrics/metrics_log.h"
#include "src/report/compare.h"
#include "src/report/flat_config.h"
#include "src/report/html.h"
#include "src/report/text_table.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::report {
namespace {

// A run directory with `rows` steps of `steps`.
void make_run(const Path& directory, std::int64_t rows, std::int64_t steps = 100,
              double learning_rate = 6e-4) {
  make_directories(directory / "samples");
  make_directories(directory / "checkpoints" / "step-00000000");
  std::string text;
  for (std::int64_t step = 1; step <= rows; ++step) {
    const double loss = 3.0 + 5.0 / std::sqrt(static_cast<double>(step));
    text += metrics::to_json(metrics::StepRow{step, loss, 0.5, learning_rate, 512 * step, 1e4,
                                              1.7e9 + static_cast<double>(step)}) +
            "\n";
    if (step % 10 == 0) {
      text += metrics::to_json(
                  metrics::ValidationRow{step, step == 20 ? 3.25 : 3.5, 512 * step, 99, 1.7e9}) +
              "\n";
    }
  }
  replace_file(directory / "metrics.jsonl", text);
  replace_file(directory / "config.yaml",
               fmt::format("run:\n  name: x\ntraining:\n  steps: {}\noptimizer:\n  "
                           "learning_rate: {}\nsamples:\n  prompt: \"In the\"\n",
                           steps, learning_rate));
  replace_file(directory / "environment.json", R"({"processor":"Fast CPU","threads":2})");
  replace_file(directory / "samples" / "step-00000010.txt", "In the beginning\n");
}

std::string page_of(const Path& directory) {
  write_report(directory);
  return read_file(directory / "report.html");
}

bool holds(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("a report shows numbers, curves, samples, config, environment and how to go on",
          "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "demo", 30);
  const std::string page = page_of(folder / "demo");
  for (const char* part : {"<h1>demo</h1>", "stopped", "step 30 of 100", "3.2500", "at step 20",
                           "<svg", "Learning rate", "Gradient norm", "tokens per second",
                           "<span class=\"prompt\">In the</span>", "learning_rate", "Fast CPU",
                           "config.yaml", "step 0"})
    CHECK_THAT(page, Catch::Contains(part));
  CHECK_FALSE(holds(page, "<script"));
  CHECK_FALSE(holds(page, "http"));
  CHECK_FALSE(holds(page, "url("));
  for (const auto& entry : std::filesystem::directory_iterator(folder / "demo"))
    CHECK_FALSE(holds(entry.path().filename().string(), ".tmp"));
}

TEST_CASE("a report says what its writer says of the run", "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "demo", 30);
  write_report(folder / "demo", RunStatus::kRunning);
  CHECK_THAT(read_file(folder / "demo/report.html"),
             Catch::Contains("<span class=\"status running\">running</span>"));
}

TEST_CASE("nothing that a run's files hold becomes markup", "[report]") {
  const test::TemporaryDirectory folder;
  const Path run = folder / "<script>alert(1)<!--\"'";
  make_run(run, 5);
  const std::string evil = "</pre></style><script>alert(2)</script><img src=x onerror=\"y\">\xff";
  replace_file(run / "samples" / "step-00000010.txt", evil);
  replace_file(run / "config.yaml", evil + ": " + evil + "\nsection:\n  " + evil + ": " + evil);
  replace_file(run / "environment.json", "{\"<script>\":\"</table><script>\"}");
  const metrics::EventRow event{5, "<script>", evil, 1.0};
  replace_file(run / "metrics.jsonl",
               read_file(run / "metrics.jsonl") + metrics::to_json(event) + "\n");
  const std::string page = page_of(run);
  CHECK_FALSE(holds(page, "<script"));
  CHECK_FALSE(holds(page, "<img"));
  CHECK_FALSE(holds(page, "<!--"));
  CHECK(
      holds(page, "&lt;script&gt;alert(2)&lt;/script&gt;&lt;img src=x onerror=&quot;y&quot;&gt;"));
}

TEST_CASE("a report draws the loss of averaged weights, and says how a diverged run goes on",
          "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "demo", 30);
  metrics::ValidationRow row{30, 3.5, 512 * 30, 99, 1.7e9};
  row.average_validation_loss = 3.25;
  replace_file(folder / "demo/metrics.jsonl",
               read_file(folder / "demo/metrics.jsonl") + metrics::to_json(row) + "\n" +
                   metrics::to_json(metrics::EventRow{30, "diverged", "loss is nan", 1.7e9}) +
                   "\n");
  const std::string page = page_of(folder / "demo");
  CHECK(holds(page, "averaged weights 3.250"));
  CHECK(holds(page, "lower learning rate than 0.0006"));
}

TEST_CASE("a report of a long run is small", "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "long", 50'000);
  CHECK(page_of(folder / "long").size() < 200'000);
}

TEST_CASE("absent, torn and hostile files are left out of a report", "[report]") {
  const test::TemporaryDirectory folder;
  make_directories(folder / "bare");
  replace_file(folder / "bare/metrics.jsonl", "");
  CHECK_THAT(page_of(folder / "bare"), Catch::Contains("<h1>bare</h1>"));

  make_run(folder / "odd", 3);
  replace_file(folder / "odd/environment.json",
               "{\"a\":" + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  replace_file(folder / "odd/config.yaml", std::string(2 << 20, 'x'));
  replace_file(folder / "odd/samples/step-99999999999999999999.txt", "no step");
  replace_file(folder / "odd/metrics.jsonl",
               "{\"step\":1,\"loss\":1e308,\"gradient_norm\":-1e308,\"tokens\":9223372036854775807,"
               "\"tokens_per_second\":1e-300}\n"
               "{\"step\":9223372036854775807,\"loss\":\"inf\",\"time\":1e300}\n"
               "{\"step\":9223372036854775807,\"validation_loss\":-1e308}\n"
               "{\"step\":5,\"event\":\"resumed\",\"message\":7,\"time\":\"x\"}\n");
  const std::string page = page_of(folder / "odd");
  CHECK_FALSE(holds(page, "no step"));
  CHECK_FALSE(holds(page, "nan\""));

  CHECK_THROWS_AS(write_report(folder / "absent"), DataError);
}

TEST_CASE("a run's state comes from its steps and its lock", "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "a", 30, 30);
  make_run(folder / "b", 30, 60);
  CHECK(read_run(folder / "a").summary.status == RunStatus::kDone);
  CHECK(read_run(folder / "b").summary.status == RunStatus::kStopped);
  {
    const auto lock = FileLock::try_lock(folder / "b/LOCK", "host:1:boot");
    CHECK(read_run(folder / "b").summary.status == RunStatus::kRunning);
  }
  // A lock file that a killed process left behind.
  CHECK(read_run(folder / "b").summary.status == RunStatus::kStopped);
  CHECK(read_file(folder / "b/LOCK") == "host:1:boot");
  replace_file(folder / "b/metrics.jsonl",
               read_file(folder / "b/metrics.jsonl") +
                   metrics::to_json(metrics::EventRow{30, "early_stop", "", 0}) + "\n");
  CHECK(read_run(folder / "b").summary.status == RunStatus::kDone);
}

TEST_CASE("a summary has the newest and the best numbers of a run", "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "demo", 30);
  const RunSummary summary = read_run(folder / "demo").summary;
  CHECK(summary.name == "demo");
  CHECK(read_run(folder / "demo/").summary.name == "demo");
  CHECK(summary.step == 30);
  CHECK(summary.steps == 100);
  CHECK(summary.tokens == 512 * 30);
  CHECK(summary.validation_loss == 3.5);
  CHECK(summary.best_validation_loss == 3.25);
  CHECK(summary.best_step == 20);
  CHECK(summary.tokens_per_second == 1e4);
  CHECK(summary.checkpoints == std::vector<std::int64_t>{0});
  CHECK(summary.bytes > 1000);
}

TEST_CASE("runs are found in their folder, by name", "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "b", 3);
  make_run(folder / "a", 3);
  make_directories(folder / "no-run");
  CHECK(find_runs(folder.path()) == std::vector<Path>{folder / "a", folder / "b"});
  CHECK(find_runs(folder / "a") == std::vector<Path>{folder / "a"});
  CHECK(find_runs(folder / "no-run").empty());
  CHECK_THROWS_AS(find_runs(folder / "absent"), DataError);
}

TEST_CASE("a comparison tells configs, losses at common steps and the first that differs",
          "[report]") {
  const test::TemporaryDirectory folder;
  make_run(folder / "a", 30);
  make_run(folder / "b", 40, 100, 1e-3);
  std::vector<Run> runs{read_run(folder / "a"), read_run(folder / "b")};
  Comparison same = compare_runs(runs);
  REQUIRE(same.config.size() == 1);
  CHECK(same.config[0].key == "optimizer.learning_rate");
  CHECK(same.config[0].values[0] == "0.0006");
  CHECK(same.common_steps == 30);
  CHECK_FALSE(same.first_difference.has_value());
  CHECK(same.validation_losses.size() == 3);
  REQUIRE(same.losses.size() == 12);
  CHECK(same.losses.front().step == 1);
  CHECK(same.losses.back().step == 30);

  runs[1].history.steps[16].loss += 1e-15;
  runs[0].history.steps.erase(runs[0].history.steps.begin() + 3);
  const Comparison different = compare_runs(runs, 5);
  CHECK(different.common_steps == 29);
  CHECK(different.losses.size() == 5);
  REQUIRE(different.first_difference.has_value());
  CHECK(different.first_difference->step == 17);

  runs[0].history.steps.clear();
  CHECK(compare_runs(runs).common_steps == 0);
}

TEST_CASE("a config is flattened to dotted keys, whatever else its file holds", "[report]") {
  const auto flat = flatten_config(
      "# comment\nrun:\n  name: demo   # why\n  note: \"a # b: c\"\nprecision: float32\r\n"
      "data:\n  train: [a, b]\n  validation:\n    - x_*.bin\n    - y\n:\n- z\nno colon\na:b\n");
  CHECK(flat == std::map<std::string, std::string>{{"run.name", "demo"},
                                                   {"run.note", "\"a # b: c\""},
                                                   {"precision", "float32"},
                                                   {"data.train", "[a, b]"},
                                                   {"data.validation", "[x_*.bin, y]"}});
  CHECK(unquoted("\"a b\"") == "a b");
  CHECK(unquoted("\"") == "\"");
  CHECK(unquoted("6.0e-4") == "6.0e-4");
}

TEST_CASE("text for pages, shells and people", "[report]") {
  CHECK(escaped("<a b='c'>&\"\x01\n") == "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\xef\xbf\xbd\n");
  CHECK(shell_word("runs/demo-1/config.yaml") == "runs/demo-1/config.yaml");
  CHECK(shell_word("it's; rm") == "'it'\\''s; rm'");
  CHECK(shell_word("") == "''");
  CHECK(readable_bytes(999) == "999 B");
  CHECK(readable_bytes(1'493'000'000) == "1.5 GB");
  CHECK(readable_count(-1234567) == "-1,234,567");
  CHECK(readable_count(INT64_MIN) == "-9,223,372,036,854,775,808");
  CHECK(readable_time(1.7e9) == "2023-11-14 22:13 UTC");
  CHECK(readable_time(-1) == "");
  CHECK(readable_time(std::nan("")) == "");
  CHECK(readable_loss(3.14159) == "3.1416");
}

TEST_CASE("a table's columns line up, and its cells cannot steer a terminal", "[report]") {
  TextTable table({"NAME", "N"}, "lr");
  CHECK(table.empty());
  table.add({"ä\x1b[2J", "7"});
  table.add({std::string(100, 'x'), "1234"});
  CHECK(table.text() == "NAME" + std::string(56, ' ') + "     N\n" + "ä?[2J" +
                            std::string(55, ' ') + "     7\n" + std::string(59, 'x') + "…  1234\n");
}

}  // namespace ovid::report
