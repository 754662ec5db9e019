#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "tests/catch.h"
#include "tests/parity/distance.h"
#include "tests/parity/parity_model.h"
#include "tests/test_files.h"

// Every intermediate activation that was published of the trained sorter: those of its first block,
// the streams behind each block, the logits and probabilities.
namespace ovid::test {
namespace {

using nlohmann::json;
using Values = std::vector<float>;

// Standard base64 without line ends.
std::vector<std::uint8_t> decode_base64(const std::string& text) {
  const std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::uint8_t> bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') break;
    const std::size_t digit = alphabet.find(c);
    if (digit == std::string_view::npos) throw std::runtime_error("not base64");
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> held));
    }
  }
  return bytes;
}

// What the file says, and which of it was compared.
class Published {
 public:
  explicit Published(const Path& path) : file_(json::parse(read_file(path))) {}

  Values values(const std::string& name) {
    seen_.insert(name);
    const std::vector<std::uint8_t> bytes = decode_base64(file_.at(name).at("data"));
    Values values(bytes.size() / 4);
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint32_t bits = 0;
      for (std::size_t b = 0; b < 4; ++b) bits |= std::uint32_t{bytes[4 * i + b]} << (8 * b);
      values[i] = std::bit_cast<float>(bits);
    }
    return values;
  }

  std::set<std::string> unseen() const {
    std::set<std::string> names;
    for (const auto& [name, value] : file_.items()) {
      if (value.contains("data") && !seen_.contains(name)) names.insert(name);
    }
    return names;
  }

 private:
  json file_;
  std::set<std::string> seen_;
};

std::span<const float> elements(const kernels::ConstView& view) {
  return {view.data<float>(), static_cast<std::size_t>(view.elements())};
}

Values difference(const kernels::ConstView& a, const kernels::ConstView& b) {
  Values values;
  for (std::size_t i = 0; i < elements(a).size(); ++i) {
    values.push_back(elements(a)[i] - elements(b)[i]);
  }
  return values;
}

double norm_of(std::span<const float> values) {
  double squares = 0;
  for (const float value : values)
    squares += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squares);
}

struct Sizes {
  std::size_t B, T, C, H, D;
};

// Part 0, 1, 2 of (B, T, 3C) = q, k, v, as (B, H, T, D).
Values heads_of(const kernels::ConstView& qkv, std::size_t part, const Sizes& s) {
  Values values;
  for (std::size_t b = 0; b < s.B; ++b) {
    for (std::size_t h = 0; h < s.H; ++h) {
      for (std::size_t t = 0; t < s.T; ++t) {
        const float* row = qkv.data<float>() + (b * s.T + t) * 3 * s.C + part * s.C + h * s.D;
        values.insert(values.end(), row, row + s.D);
      }
    }
  }
  return values;
}

// Scores (B, H, T, T) from our queries and keys; nothing stores them.
Values scores_of(const kernels::ConstView& qkv, const Sizes& s) {
  const Values q = heads_of(qkv, 0, s), k = heads_of(qkv, 1, s);
  Values scores;
  for (std::size_t head = 0; head < s.B * s.H; ++head) {
    for (std::size_t i = 0; i < s.T; ++i) {
      for (std::size_t j = 0; j < s.T; ++j) {
        double sum = 0;
        for (std::size_t d = 0; d < s.D; ++d) {
          sum += static_cast<double>(q[(head * s.T + i) * s.D + d]) *
                 static_cast<double>(k[(head * s.T + j) * s.D + d]);
        }
        scores.push_back(j <= i ? static_cast<float>(sum / std::sqrt(static_cast<double>(s.D)))
                                : -INFINITY);
      }
    }
  }
  return scores;
}

// Two float32 programs, each within `tolerance` of the exact values, relative to `scale` (the norm
// of `theirs` itself, or of the stream that a branch was taken from).
void check_close(const std::string& name, std::span<const float> ours, const Values& theirs,
                 double tolerance, double scale) {
  INFO(name);
  REQUIRE(ours.size() == theirs.size());
  Values gap(ours.size());
  for (std::size_t i = 0; i < gap.size(); ++i) gap[i] = ours[i] - theirs[i];
  CHECK(norm_of(gap) <= 2 * tolerance * scale);
}

void check_attention(Published& published, const model::BlockActivations& a, const Sizes& s,
                     double tolerance) {
  const std::array names{"q", "k", "v"};
  for (std::size_t part = 0; part < 3; ++part) {
    const Values theirs = published.values(names[part]);
    check_close(names[part], heads_of(a.qkv, part, s), theirs, tolerance, norm_of(theirs));
  }
  Values scores = scores_of(a.qkv, s), published_scores = published.values("att");
  Values probabilities = scores;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    probabilities[i] = std::exp(scores[i] - elements(a.log_sum_exp)[i / s.T]);
    // Both mask the same places; what is masked has no distance.
    REQUIRE(std::isinf(scores[i]) == std::isinf(published_scores[i]));
    if (std::isinf(scores[i])) scores[i] = published_scores[i] = 0;
  }
  check_close("att", scores, published_scores, tolerance, norm_of(published_scores));
  const Values published_probabilities = published.values("attSm");
  check_close("attSm", probabilities, published_probabilities, tolerance,
              norm_of(published_probabilities));
}

Values softmax_rows(const Values& logits, std::size_t V) {
  Values probabilities;
  for (std::size_t row = 0; row < logits.size(); row += V) {
    double sum = 0;
    for (std::size_t v = 0; v < V; ++v) sum += std::exp(static_cast<double>(logits[row + v]));
    for (std::size_t v = 0; v < V; ++v) {
      probabilities.push_back(
          static_cast<float>(std::exp(static_cast<double>(logits[row + v])) / sum));
    }
  }
  return probabilities;
}

}  // namespace

TEST_CASE("every published activation of the trained sorter is met", "[parity][cpu]") {
  const auto directory = shared_data("models/gpt-nano-sort");
  if (!directory) return;
  Published published(*directory / "gpt-nano-sort-t0-partials.json");
  const Sizes s{3, 11, 48, 3, 16};
  ParityModel model(*directory, {.sequences = 3, .length = 11});
  std::vector<std::int32_t> tokens;
  for (const float token : published.values("idx"))
    tokens.push_back(static_cast<std::int32_t>(token));
  const Values logits = model.logits(tokens);
  const double tolerance = forward_tolerance(model.config(), 11);
  const model::Activations& a = model.activations();
  const model::BlockActivations& first = a.blocks.front();
  const auto check = [&](const std::string& name, std::span<const float> ours) {
    const Values theirs = published.values(name);
    check_close(name, ours, theirs, tolerance, norm_of(theirs));
  };

  Values token_rows;
  for (const std::int32_t token : tokens) {
    const auto row = elements(model.weights().views().token_embedding.row_range(token, 1));
    token_rows.insert(token_rows.end(), row.begin(), row.end());
  }
  check("tok_emb", token_rows);
  check("pos_emb", elements(model.weights().views().position_embedding.row_range(0, 11)));
  check("x", elements(a.x0));
  check("ln1", elements(a.n0));
  check("qkv", elements(first.qkv));
  check_attention(published, first, s, tolerance);
  check("y", elements(first.attended));
  check("attnResid", elements(first.x_mid));
  check("ln2", elements(first.m));
  check("fc", elements(first.u));
  check("gelu", elements(first.g));
  check("mlpResid", elements(first.next_x));
  for (std::size_t i = 0; i < 3; ++i)
    check("block" + std::to_string(i), elements(a.blocks[i].next_x));
  // A branch is not kept: it is what its sum adds to the stream, as exactly as the sum is rounded.
  check_close("yProj", difference(first.x_mid, a.x0), published.values("yProj"), tolerance,
              norm_of(elements(first.x_mid)));
  check_close("mlp", difference(first.next_x, first.x_mid), published.values("mlp"), tolerance,
              norm_of(elements(first.next_x)));
  check("ln_f", elements(a.final_n()));
  check("lm_head", logits);
  check("probs", softmax_rows(logits, 3));
  CHECK(published.unseen().empty());
}

}  // namespace ovid::test
