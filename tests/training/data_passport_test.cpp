#include "src/training/data_passport.h"

#include "tests/catch.h"

namespace ovid::training {

using Catch::Matchers::Contains;

TEST_CASE("a model card tells of the model and of each stage of its data", "[training]") {
  const model::ModelConfig model{
      .layers = 2, .heads = 4, .width = 64, .context_length = 128, .vocabulary_size = 257};
  const std::string passport = R"({"corpus": "openwebtext", "created_by": "ovid-data 1",
    "stages": [{"stage": "read", "documents_in": 12, "documents_out": 11, "bytes_in": 900,
                "bytes_out": 850, "dropped": {"binary": 1}}],
    "inputs": [{"file": "a.tar.xz", "bytes": 77, "xxh128": "00ff"}],
    "evaluation_overlap": {"sets": [{"set": "lambada", "fraction": 0.25}]}})";
  const std::string card = model_card(model, {{"passport.json", passport}});
  CHECK_THAT(card, Contains("2 layers, 4 heads, width 64, context 128, vocabulary 257"));
  CHECK_THAT(card, Contains("| read | 12 | 11 | 900 | 850 | {\"binary\":1} |"));
  CHECK_THAT(card, Contains("| a.tar.xz | 77 | 00ff |"));
  CHECK_THAT(card, Contains("| lambada | 0.25 |"));
}

TEST_CASE("a passport of another form neither breaks the card nor its tables", "[training]") {
  const model::ModelConfig model{};
  for (const char* passport :
       {"5", "{}", "[]", "not JSON", R"({"stages": [1, {"stage": "a|b\n<script>"}], "inputs": {}})",
        R"({"evaluation_overlap": {"sets": [null]}})"}) {
    const std::string card = model_card(model, {{"passport.json", passport}});
    CHECK_THAT(card, Contains("# Model card") && !Contains("<script"));
  }
}

}  // namespace ovid::training
