#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/report/text_table.h"
#include "src/selftest/selftest.h"

namespace ovid::selftest {
namespace {

const char* name_of(const CheckResult& r) {
  if (r.outcome == Outcome::kBroken) return "BROKEN";
  if (r.outcome == Outcome::kPassed) return "passed";
  return r.repeats ? "FAILED" : "FAILED: bits differ";
}

std::size_t count_passed(const std::vector<CheckResult>& results) {
  return static_cast<std::size_t>(
      std::count_if(results.begin(), results.end(),
                    [](const CheckResult& r) { return r.outcome == Outcome::kPassed; }));
}

}  // namespace

std::string to_text(const std::vector<CheckResult>& results,
                    const std::vector<std::string>& about) {
  report::TextTable table(
      {"check", "numbers", "size", "result", "worst tensor", "error", "limit", "seconds"},
      "lllllrrr");
  for (const CheckResult& r : results) {
    table.add({r.name, r.numbers, r.size, name_of(r), r.worst, fmt::format("{:.1e}", r.error),
               fmt::format("{:.1e}", r.limit), fmt::format("{:.2f}", r.seconds)});
  }
  std::string text = table.text() + "\n";
  for (const CheckResult& r : results) {
    if (r.outcome != Outcome::kBroken) continue;
    text += fmt::format("{} {} {}: {}\n", r.name, r.numbers, r.size, r.message);
  }
  for (const std::string& line : about) text += line + "\n";
  const std::size_t passed = count_passed(results);
  text += fmt::format("{} of {} checks passed\n", passed, results.size());
  if (passed < results.size()) {
    text +=
        "Please report this: the lines above, the output of `ovid doctor`, and whether a second "
        "run fails in the same checks. Until then do not trust training on this device; "
        "device.kind: cpu works.\n";
  }
  return text;
}

std::string to_json(const std::vector<CheckResult>& results,
                    const std::vector<std::string>& about) {
  nlohmann::ordered_json checks = nlohmann::ordered_json::array();
  for (const CheckResult& r : results) {
    checks.push_back({{"name", r.name},
                      {"numbers", r.numbers},
                      {"size", r.size},
                      {"passed", r.outcome == Outcome::kPassed},
                      {"worst", r.worst},
                      {"error", r.error},
                      {"limit", r.limit},
                      {"repeats", r.repeats},
                      {"seconds", r.seconds},
                      {"message", r.message}});
  }
  const std::size_t passed = count_passed(results);
  nlohmann::ordered_json json = {{"about", about},
                                 {"passed", passed},
                                 {"failed", results.size() - passed},
                                 {"checks", std::move(checks)}};
  return json.dump();
}

}  // namespace ovid::selftest
