#include <algorithm>

#include "src/metrics/event_record.h"
#include "src/metrics/metrics_reader.h"
#include "src/metrics/utf8.h"
#include "tests/fuzz/fuzz_target.h"

// metrics.jsonl, and text on its way to TensorBoard.
namespace ovid::fuzz {
namespace {

template <class Row>
void check_rows(const std::vector<Row>& rows) {
  const auto not_ascending = [](const Row& a, const Row& b) { return a.step >= b.step; };
  if (std::adjacent_find(rows.begin(), rows.end(), not_ascending) != rows.end())
    fail("rows whose steps do not ascend");
}

void read_history(const Path& path, const metrics::ReadLimits& limits) {
  const metrics::MetricsHistory history = metrics::read_metrics(path, limits);
  check_rows(history.steps);
  check_rows(history.validations);
  if (history.steps.size() > limits.rows || history.validations.size() > limits.rows ||
      history.events.size() > limits.events)
    fail("more rows than the limits allow");
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  const Path path = write_file("metrics.jsonl", input);
  refuses([&] { read_history(path, {}); });
  refuses([&] { read_history(path, {.rows = 4, .events = 2, .line_bytes = 100}); });
  const std::string text = metrics::valid_utf8(input);
  if (metrics::valid_utf8(text) != text) fail("valid UTF-8 is replaced again");
  metrics::event_record(metrics::text_event(0.0, 1, "sample", text));
}

}  // namespace ovid::fuzz
