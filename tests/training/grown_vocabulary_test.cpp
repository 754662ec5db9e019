#include "src/training/grown_vocabulary.h"

#include <cmath>
#include <cstring>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/error.h"
#include "src/tokenizer/vocabulary.h"
#include "src/training/parameter_files.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::training {
namespace {

using Catch::Matchers::Contains;
using model::ModelConfig;
using model::ParameterSet;

ModelConfig config_of(std::int64_t vocabulary_size, bool tied) {
  ModelConfig config;
  config.layers = 1;
  config.heads = 2;
  config.width = 6;
  config.context_length = 4;
  config.vocabulary_size = vocabulary_size;
  config.tied_head = tied;
  return config;
}

// A model directory of 257 rows, and its weights.
ParameterSet write_model(const Path& folder, bool tied) {
  const ModelConfig config = config_of(257, tied);
  ParameterSet weights(config, "old");
  initialise(weights, config, 7);
  checkpoint::write_safetensors(folder / "model.safetensors", named_tensors(weights),
                                {{"format", "pt"}});
  checkpoint::write_model_config(folder, config);
  return weights;
}

ParameterSet grow(const Path& folder, bool tied, std::uint64_t seed) {
  const ModelConfig config = config_of(260, tied);
  ParameterSet weights(config, "new");
  initialise(weights, config, seed);
  read_grown(folder, 257, weights);
  return weights;
}

bool same_bytes(const kernels::View& a, const kernels::View& b, std::int64_t elements) {
  return std::memcmp(a.raw(), b.raw(), static_cast<std::size_t>(elements) * sizeof(float)) == 0;
}

// New rows lie around the mean of the old ones, by GPT-2's deviation of 0.02.
void check_new_rows(const kernels::View& rows, const kernels::View& old) {
  const float* const values = rows.data<float>();
  const float* const before = old.data<float>();
  for (std::int64_t column = 0; column < 6; ++column) {
    double mean = 0;
    for (std::int64_t row = 0; row < 257; ++row) mean += before[row * 6 + column] / 257.0;
    for (std::int64_t row = 257; row < 260; ++row) {
      const double drawn = values[row * 6 + column] - mean;
      CHECK(std::abs(drawn) < 0.02 * 5);
      CHECK(drawn != 0.0);
    }
  }
}

}  // namespace

TEST_CASE("an embedding grows: old rows to the bit, new rows around their mean", "[training]") {
  const bool tied = GENERATE(true, false);
  const test::TemporaryDirectory folder;
  const ParameterSet old = write_model(folder.path(), tied);
  const ParameterSet grown = grow(folder.path(), tied, 1);
  REQUIRE(grown.tensors().size() == old.tensors().size());
  for (std::size_t i = 0; i < old.tensors().size(); ++i) {
    INFO(old.tensors()[i].description.name);
    const kernels::View& was = old.tensors()[i].view;
    CHECK(same_bytes(grown.tensors()[i].view, was, was.elements()));
  }
  check_new_rows(grown.views().token_embedding, old.views().token_embedding);
  check_new_rows(grown.views().head, old.views().head);
  const kernels::View& rows = grown.views().token_embedding;
  CHECK(same_bytes(rows, grow(folder.path(), tied, 1).views().token_embedding, rows.elements()));
  CHECK_FALSE(
      same_bytes(rows, grow(folder.path(), tied, 2).views().token_embedding, rows.elements()));
}

TEST_CASE("a model grows only for its own tokenizer with tokens added", "[training]") {
  const test::TemporaryDirectory model, data;
  const auto check = [&](std::int64_t rows) {
    check_grown_tokenizer(model.path(), rows, data.path().string());
  };
  tokenizer::Vocabulary grown = tokenizer::byte_vocabulary();
  add_tokens(grown, {"<|a|>", "<|b|>"});
  save_vocabulary(grown, data.path());
  CHECK_NOTHROW(check(257));  // no tokenizer beside the model: its size has to do
  CHECK_THROWS_WITH(check(258), Contains("258 rows") && Contains("--tokenizer"));
  save_vocabulary(tokenizer::byte_vocabulary(), model.path());
  CHECK_NOTHROW(check(257));

  tokenizer::Vocabulary other = tokenizer::byte_vocabulary();
  std::swap(other.tokens[0], other.tokens[1]);
  save_vocabulary(other, model.path());
  CHECK_THROWS_AS(check(257), UsageError);
}

}  // namespace ovid::training
