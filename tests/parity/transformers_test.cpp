#include <nlohmann/json.hpp>

#include "src/generation/generator.h"
#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"

// Model directories as transformers' save_pretrained writes them
// (tests/golden/transformers_fixtures.py).
namespace ovid::test {
namespace {

using nlohmann::json;

constexpr const char* kFixtures[] = {"transformers_tied", "transformers_untied"};

json expected(const std::string& name) {
  return json::parse(read_file(golden(name) / "expected.json"));
}

}  // namespace

TEST_CASE("a model that transformers saved gives the logits of transformers", "[parity][cpu]") {
  for (const char* name : kFixtures) {
    DYNAMIC_SECTION(name) {
      const json fixture = expected(name);
      std::vector<std::int32_t> tokens;
      std::vector<double> theirs;
      for (const json& row : fixture.at("rows"))
        tokens.insert(tokens.end(), row.begin(), row.end());
      for (const json& row : fixture.at("logits")) {
        for (const json& position : row)
          theirs.insert(theirs.end(), position.begin(), position.end());
      }
      const auto sequences = static_cast<std::int64_t>(fixture.at("rows").size());
      const std::int64_t length = static_cast<std::int64_t>(tokens.size()) / sequences;
      ParityModel model(golden(name), {.sequences = sequences, .length = length});
      CHECK(model.config().tied_head == (std::string(name) == "transformers_tied"));
      // Both are float32, each within the tolerance of the exact logits.
      CHECK(distance(model.logits(tokens), theirs).relative_l2 <=
            2 * forward_tolerance(model.config(), length));
    }
  }
}

TEST_CASE("greedy text of a model that transformers saved is that of transformers",
          "[parity][cpu]") {
  for (const char* name : kFixtures) {
    DYNAMIC_SECTION(name) {
      ParityModel model(golden(name), {.sequences = 1, .length = 1});
      const json fixture = expected(name);
      REQUIRE(!fixture.at("greedy").empty());
      for (const json& continuation : fixture.at("greedy")) {
        const auto prompt = continuation.at("prompt").get<std::vector<std::int32_t>>();
        const auto theirs = continuation.at("tokens").get<std::vector<std::int32_t>>();
        generation::GenerationSettings settings;
        settings.sampling.temperature = 0;
        settings.max_new_tokens = static_cast<std::int64_t>(theirs.size());
        const auto samples =
            generate(model.config(), model.weights().views(), prompt, settings, {.threads = 2});
        REQUIRE(samples.size() == 1);
        CHECK(samples[0].tokens == theirs);
      }
    }
  }
}

}  // namespace ovid::test
