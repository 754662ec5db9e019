#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"
#include "src/generation/decoder.h"
#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"

// Against PyTorch in float64, from the same weights and batches (tests/golden/make_golden.py).
namespace ovid::test {
namespace {

using nlohmann::json;

constexpr const char* kCases[] = {"tied", "untied", "odd_head_dimension", "many_positions",
                                  "one_position"};

// One folder of tests/golden.
struct Golden {
  explicit Golden(const std::string& name)
      : directory(golden(name)),
        facts(json::parse(read_file(directory / "facts.json"))),
        reference(directory / "reference.safetensors"),
        tokens(read_int32(reference, "tokens")),
        targets(read_int32(reference, "targets")) {
    const std::vector<std::int64_t>& shape = reference.tensor("tokens").shape;
    batch = {.sequences = shape.at(0), .length = shape.at(1)};
    for (std::int32_t& target : targets) {
      if (target < 0) target = kernels::kIgnoreTarget;  // PyTorch writes -100
    }
  }

  float scale() const { return 1.0f / static_cast<float>(facts.at("valid_targets").get<int>()); }

  // Ours and PyTorch's float32 round the same sums in another order, so both distances from float64
  // are draws of one random walk: three times PyTorch's, and four roundings where a small tensor of
  // PyTorch's was lucky.
  double tolerance(const std::string& tensor) const {
    const json& theirs = facts.at("pytorch_float32").at("tensors").at(tensor);
    return 3 * theirs.at("relative_l2").get<double>() + 4 * kFloat32Rounding;
  }

  Path directory;
  json facts;
  checkpoint::SafetensorsFile reference;
  std::vector<std::int32_t> tokens, targets;
  model::BatchShape batch;
};

void check_close(const Golden& golden, const std::string& tensor, std::span<const float> ours) {
  const Distance apart = distance(ours, read_float64(golden.reference, tensor));
  INFO(tensor << ": largest difference " << apart.max_abs);
  CHECK(apart.relative_l2 <= golden.tolerance(tensor));
}

void check_gradients(const Golden& golden, const model::ParameterSet& gradients) {
  for (const model::ParameterSet::Tensor& tensor : gradients.tensors()) {
    const std::span<const float> ours(tensor.view.data<float>(),
                                      static_cast<std::size_t>(tensor.view.elements()));
    check_close(golden, "gradient." + tensor.description.name, ours);
  }
}

// A mean of losses of size l is a sum of B T terms, each right to a few roundings of l.
void check_loss(const Golden& golden, double mean) {
  const double exact = golden.facts.at("loss");
  CHECK(std::abs(mean - exact) <= 8 * kFloat32Rounding * exact);
}

}  // namespace

TEST_CASE("logits are as near to float64 as those of PyTorch", "[parity][cpu]") {
  for (const char* name : kCases) {
    DYNAMIC_SECTION(name) {
      const Golden golden(name);
      ParityModel model(golden.directory, golden.batch);
      check_close(golden, "logits", model.logits(golden.tokens));
    }
  }
}

TEST_CASE("the loss and every gradient are as near to float64 as those of PyTorch",
          "[parity][cpu]") {
  for (const char* name : kCases) {
    DYNAMIC_SECTION(name) {
      const Golden golden(name);
      ParityModel model(golden.directory, golden.batch);
      const double sum = model.accumulate_gradients(golden.tokens, golden.targets, golden.scale());
      check_loss(golden, sum * golden.scale());
      check_gradients(golden, model.gradients());
    }
  }
}

TEST_CASE("gradients accumulated one sequence at a time are those of the whole batch",
          "[parity][cpu]") {
  for (const char* name : kCases) {
    DYNAMIC_SECTION(name) {
      const Golden golden(name);
      const auto length = static_cast<std::size_t>(golden.batch.length);
      ParityModel model(golden.directory, {.sequences = 1, .length = golden.batch.length});
      double sum = 0;
      for (std::size_t first = 0; first < golden.tokens.size(); first += length) {
        sum += model.accumulate_gradients(std::span(golden.tokens).subspan(first, length),
                                          std::span(golden.targets).subspan(first, length),
                                          golden.scale());
      }
      check_loss(golden, sum * golden.scale());
      check_gradients(golden, model.gradients());
    }
  }
}

TEST_CASE("logits and gradients have equal bits on every number of threads", "[parity][cpu]") {
  for (const char* name : kCases) {
    DYNAMIC_SECTION(name) {
      const Golden golden(name);
      const auto results = [&](int threads) {
        ParityModel model(golden.directory, golden.batch, threads);
        std::vector<float> values = model.logits(golden.tokens);
        model.accumulate_gradients(golden.tokens, golden.targets, golden.scale());
        const kernels::View flat = model.gradients().flat();
        values.insert(values.end(), flat.data<float>(), flat.data<float>() + flat.elements());
        return values;
      };
      const std::vector<float> alone = results(1);
      for (const int threads : {2, 3}) {
        const std::vector<float> shared = results(threads);
        REQUIRE(shared.size() == alone.size());
        CHECK(std::memcmp(shared.data(), alone.data(), alone.size() * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("decoding with cached keys gives the logits of the whole pass", "[parity][cpu]") {
  for (const char* name : kCases) {
    DYNAMIC_SECTION(name) {
      const Golden golden(name);
      ParityModel model(golden.directory, golden.batch);
      std::vector<generation::DecoderRow> rows;
      for (std::int64_t i = 0; i < golden.batch.rows(); ++i) {
        rows.push_back({.sequence = static_cast<std::int32_t>(i / golden.batch.length),
                        .position = static_cast<std::int32_t>(i % golden.batch.length),
                        .token = golden.tokens[static_cast<std::size_t>(i)]});
      }
      const std::unique_ptr<bool[]> wanted(new bool[rows.size()]);
      std::fill_n(wanted.get(), rows.size(), true);
      generation::Decoder decoder(model.config(), model.weights().views(), golden.batch.sequences,
                                  {.threads = 2});
      decoder.decode(rows, {wanted.get(), rows.size()});
      std::vector<float> logits;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const std::span<const float> row = decoder.logits(i);
        logits.insert(logits.end(), row.begin(), row.end());
      }
      check_close(golden, "logits", logits);
    }
  }
}

}  // namespace ovid::test
