#include "src/metrics/metrics_log.h"

#include <sys/resource.h>

#include <clocale>
#include <csignal>
#include <limits>
#include <string>

#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::metrics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

StepRow step_row(std::int64_t step) {
  return {step, 3.25, 1.5, 6e-4, 524288 * step, 12345.5, 1700000000.125};
}

// Lets no file of this process grow beyond a size: writes then fail as on a full disk, and may come
// up short.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = SIG_DFL;
};

}  // namespace

TEST_CASE("a step's row is one JSON object with the documented keys", "[metrics]") {
  CHECK(to_json(step_row(1)) ==
        R"({"step":1,"loss":3.25,"gradient_norm":1.5,"learning_rate":0.0006,"tokens":524288,)"
        R"("tokens_per_second":12345.5,)"
        R"("time":1700000000.125})");
  CHECK(to_json(ValidationRow{250, 0.1, 1000, 99, 1e-300}) ==
        R"({"step":250,"validation_loss":0.1,"tokens":1000,"validation_tokens":99,"time":1e-300})");
}

TEST_CASE("a step's row tells the arithmetic speed where it is known", "[metrics]") {
  StepRow row = step_row(1);
  row.flops_per_second = 4.125e11;
  CHECK_THAT(to_json(row), Catch::Contains(R"("flops_per_second":412500000000,"time":)"));
}

TEST_CASE("a step's row of several ranks tells the slowest one", "[metrics]") {
  StepRow row = step_row(7);
  row.slowest_rank = 3;
  row.slowest_rank_score = 0.5;
  CHECK_THAT(to_json(row), Catch::Contains(R"("slowest_rank":3,"slowest_rank_score":0.5,"time":)"));
}

TEST_CASE("an event's row takes any text", "[metrics]") {
  CHECK(to_json(EventRow{7, "skipped_update", "loss is \"nan\"\n\xff", 1.5}) ==
        R"({"step":7,"event":"skipped_update","message":"loss is \"nan\"\n)"
        "\xef\xbf\xbd"
        R"(","time":1.5})");
}

TEST_CASE("numbers are the shortest that read back, in every locale; what is not finite is text",
          "[metrics]") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "C"}) {
    if (std::setlocale(LC_ALL, name) == nullptr) continue;
    CHECK_THAT(to_json(StepRow{.loss = 0.1 + 0.2}),
               Catch::Contains(R"("loss":0.30000000000000004,)"));
  }
  std::setlocale(LC_ALL, before.c_str());
  CHECK_THAT(to_json(StepRow{.loss = std::numeric_limits<double>::quiet_NaN(),
                             .gradient_norm = kInfinity,
                             .learning_rate = -kInfinity}),
             Catch::Contains(R"("loss":"nan","gradient_norm":"inf","learning_rate":"-inf")"));
}

TEST_CASE("rows are in the file when append returns, behind those of an earlier run", "[metrics]") {
  const test::TemporaryDirectory folder;
  const Path path = folder / "metrics.jsonl";
  {
    MetricsLog log(path);
    log.append(step_row(1));
    CHECK(read_file(path) == to_json(step_row(1)) + "\n");
  }
  MetricsLog log(path);
  log.append(step_row(2));
  log.append(ValidationRow{2, 3.0, 4, 5, 6.0});
  CHECK(read_file(path) == to_json(step_row(1)) + "\n" + to_json(step_row(2)) + "\n" +
                               to_json(ValidationRow{2, 3.0, 4, 5, 6.0}) + "\n");
  CHECK(log.dropped_rows() == 0);
}

TEST_CASE("a row that a crash tore is cut off before new rows", "[metrics]") {
  const test::TemporaryDirectory folder;
  const Path path = folder / "metrics.jsonl";
  const std::string whole = to_json(step_row(1)) + "\n";
  for (const std::string& torn :
       {std::string("{\"step\":2,\"lo"), std::string(200'000, 'x'), std::string("\0\0", 2)}) {
    for (const std::string& kept : {std::string(), whole, whole + whole}) {
      replace_file(path, kept + torn);
      MetricsLog log(path);
      CHECK(read_file(path) == kept);
      log.append(step_row(3));
      CHECK(read_file(path) == kept + to_json(step_row(3)) + "\n");
    }
  }
}

TEST_CASE("a full disk drops rows, counts them, and does not stop the caller", "[metrics]") {
  MetricsLog log("/dev/full");
  log.append(step_row(1));
  log.append(step_row(2));
  CHECK(log.dropped_rows() == 2);
}

TEST_CASE("a row that fits only in part is taken back whole, and rows go on once there is room",
          "[metrics]") {
  const test::TemporaryDirectory folder;
  const Path path = folder / "metrics.jsonl";
  MetricsLog log(path);
  log.append(step_row(1));
  const std::string one = read_file(path);
  {
    const FileSizeLimit limit(one.size() + 10);
    log.append(step_row(2));
  }
  CHECK(log.dropped_rows() == 1);
  CHECK(read_file(path) == one);
  log.append(step_row(3));
  CHECK(read_file(path) == one + to_json(step_row(3)) + "\n");
  CHECK(log.dropped_rows() == 1);
}

TEST_CASE("a metrics file that cannot be opened is a resource error", "[metrics]") {
  CHECK_THROWS_AS(MetricsLog("/nonexistent/metrics.jsonl"), ResourceError);
}

}  // namespace ovid::metrics
