#include <nlohmann/json.hpp>

#include "src/training/model_export.h"
#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"
#include "tests/test_files.h"

// Low-rank adapters as PEFT's save_pretrained writes them (tests/golden/peft_fixture.py).
namespace ovid::test {

using nlohmann::json;

TEST_CASE("adapters that PEFT saved, merged, give the logits of PEFT beside the linears",
          "[parity][cpu]") {
  const TemporaryDirectory folder;
  training::export_model(golden("peft_adapter"), folder / "merged", {.threads = 1});
  const json fixture = json::parse(read_file(golden("peft_adapter") / "expected.json"));
  std::vector<std::int32_t> tokens;
  std::vector<double> theirs;
  for (const json& row : fixture.at("rows")) tokens.insert(tokens.end(), row.begin(), row.end());
  for (const json& row : fixture.at("logits")) {
    for (const json& position : row) theirs.insert(theirs.end(), position.begin(), position.end());
  }
  const auto sequences = static_cast<std::int64_t>(fixture.at("rows").size());
  const std::int64_t length = static_cast<std::int64_t>(tokens.size()) / sequences;
  ParityModel merged(folder / "merged", {.sequences = sequences, .length = length});
  ParityModel base(golden("transformers_tied"), {.sequences = sequences, .length = length});
  // Both are float32, each within the tolerance of the exact logits.
  const double tolerance = 2 * forward_tolerance(merged.config(), length);
  CHECK(distance(merged.logits(tokens), theirs).relative_l2 <= tolerance);
  CHECK(distance(base.logits(tokens), theirs).relative_l2 > 100 * tolerance);
}

}  // namespace ovid::test
