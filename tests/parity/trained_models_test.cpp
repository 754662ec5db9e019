#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/generation/generator.h"
#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"
#include "tests/test_files.h"

// Two small trained models that other programs published, with their answers.
namespace ovid::test {
namespace {

using nlohmann::json;
using Tokens = std::vector<std::int32_t>;

// Products this small gain nothing from a second thread, and tests run beside each other.
constexpr int kThreads = 1;

json reference(const Path& directory) {
  return json::parse(read_file(directory / "reference.json"));
}

// Greedy continuations of prompts of one length by `count` tokens, by whole forward passes.
// Positions behind the last known token hold zeros, which nothing before them can see.
std::vector<Tokens> continue_greedily(const Path& directory, const std::vector<Tokens>& prompts,
                                      std::size_t count) {
  const std::size_t known = prompts.front().size(), length = known + count - 1;
  constexpr std::size_t kSequences = 100;
  ParityModel model(
      directory, {.sequences = kSequences, .length = static_cast<std::int64_t>(length)}, kThreads);
  const auto V = static_cast<std::size_t>(model.config().vocabulary_size);
  std::vector<Tokens> answers(prompts.size());
  for (std::size_t first = 0; first < prompts.size(); first += kSequences) {
    const std::size_t rows = std::min(kSequences, prompts.size() - first);
    Tokens tokens(kSequences * length, 0);
    for (std::size_t r = 0; r < rows; ++r) {
      std::copy(prompts[first + r].begin(), prompts[first + r].end(), tokens.begin() + r * length);
    }
    for (std::size_t next = known; next < known + count; ++next) {
      const std::vector<float> logits = model.logits(tokens);
      for (std::size_t r = 0; r < rows; ++r) {
        const auto row = logits.begin() + (r * length + next - 1) * V;
        const auto token = static_cast<std::int32_t>(std::max_element(row, row + V) - row);
        answers[first + r].push_back(token);
        if (next < length) tokens[r * length + next] = token;
      }
    }
  }
  return answers;
}

Tokens generate_greedily(ParityModel& model, const Tokens& prompt, std::size_t count) {
  generation::GenerationSettings settings;
  settings.sampling.temperature = 0;
  settings.max_new_tokens = static_cast<std::int64_t>(count);
  return generate(model.config(), model.weights().views(), prompt, settings, {.threads = kThreads})
      .at(0)
      .tokens;
}

// Digits of two numbers below 100, most significant first; the model writes their sum's, least
// significant first.
std::vector<Tokens> sum_prompts() {
  std::vector<Tokens> prompts;
  for (std::int32_t a = 0; a < 100; ++a) {
    for (std::int32_t b = 0; b < 100; ++b) prompts.push_back({a / 10, a % 10, b / 10, b % 10});
  }
  return prompts;
}

Tokens sum_digits(const Tokens& p) {
  const std::int32_t sum = 10 * (p[0] + p[2]) + p[1] + p[3];
  return {sum % 10, sum / 10 % 10, sum / 100};
}

std::vector<Tokens> sort_prompts() {
  std::vector<Tokens> prompts;
  for (std::int32_t i = 0; i < 729; ++i) {
    prompts.push_back({i / 243, i / 81 % 3, i / 27 % 3, i / 9 % 3, i / 3 % 3, i % 3});
  }
  return prompts;
}

// Logits of a reference file: nested arrays (rows, positions, V).
void check_logits(const Path& directory, const json& rows, const json& expected_logits) {
  Tokens tokens;
  std::vector<double> exact;
  for (const json& row : rows) tokens.insert(tokens.end(), row.begin(), row.end());
  for (const json& row : expected_logits) {
    for (const json& position : row) exact.insert(exact.end(), position.begin(), position.end());
  }
  const auto sequences = static_cast<std::int64_t>(rows.size());
  const std::int64_t length = static_cast<std::int64_t>(tokens.size()) / sequences;
  ParityModel model(directory, {.sequences = sequences, .length = length});
  CHECK(distance(model.logits(tokens), exact).relative_l2 <=
        forward_tolerance(model.config(), length));
}

}  // namespace

TEST_CASE("the trained adder gets 10,000 of 10,000 sums right", "[parity][cpu]") {
  const auto directory = shared_data("models/mingpt-adder-nano");
  if (!directory) return;
  const std::vector<Tokens> prompts = sum_prompts();
  const std::vector<Tokens> answers = continue_greedily(*directory, prompts, 3);
  const auto published = reference(*directory).at("sum_tokens_10000").get<std::vector<Tokens>>();
  int right = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) right += answers[i] == sum_digits(prompts[i]);
  CHECK(right == 10'000);
  CHECK(answers == published);
}

TEST_CASE("the trained adder gets sums right with cached keys too", "[parity][cpu]") {
  const auto directory = shared_data("models/mingpt-adder-nano");
  if (!directory) return;
  ParityModel model(*directory, {.sequences = 1, .length = 1});
  const std::vector<Tokens> prompts = sum_prompts();
  for (std::size_t i = 0; i < prompts.size(); i += 37) {
    CHECK(generate_greedily(model, prompts[i], 3) == sum_digits(prompts[i]));
  }
}

TEST_CASE("the trained sorter sorts 729 of 729 rows of letters", "[parity][cpu]") {
  const auto directory = shared_data("models/gpt-nano-sort");
  if (!directory) return;
  const std::vector<Tokens> prompts = sort_prompts();
  const std::vector<Tokens> answers = continue_greedily(*directory, prompts, 6);
  ParityModel model(*directory, {.sequences = 1, .length = 1});
  int right = 0;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    Tokens sorted = prompts[i];
    std::sort(sorted.begin(), sorted.end());
    right += answers[i] == sorted;
    if (i % 9 == 0) CHECK(generate_greedily(model, prompts[i], 6) == sorted);
  }
  CHECK(right == 729);
}

TEST_CASE("logits of the trained models are the published ones", "[parity][cpu]") {
  const auto adder = shared_data("models/mingpt-adder-nano");
  const auto sorter = shared_data("models/gpt-nano-sort");
  if (!adder || !sorter) return;
  const json sums = reference(*adder), sorts = reference(*sorter);
  check_logits(*adder, sums.at("input_ids"), sums.at("logits"));
  check_logits(*sorter, sorts.at("idx"), sorts.at("logits_float64"));
}

}  // namespace ovid::test
