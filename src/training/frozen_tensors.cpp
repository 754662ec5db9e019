#include "src/training/frozen_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

#include "src/config/suggestion.h"
#include "src/core/error.h"
#include "src/model/parameters.h"

namespace ovid::training {
namespace {

constexpr std::string_view kNetwork = "transformer.";
constexpr std::string_view kBlocks = "blocks";
constexpr std::array<std::string_view, 8> kWords = {
    "embeddings", "token_embedding", "position_embedding", "blocks", "blocks.0", "norms", "biases",
    "head"};

// Any letters for a *, one for a ?. Goes back to the last * alone, so that no pattern takes more
// than pattern x name steps.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return std::all_of(pattern.begin() + static_cast<std::ptrdiff_t>(p), pattern.end(),
                     [](char c) { return c == '*'; });
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && !text.starts_with('-') ? std::optional(value) : std::nullopt;
}

struct Range {
  std::int64_t first, last;
};

// Of "blocks", "blocks.3" or "blocks.0-5"; nothing for another word. Throws for blocks that are not
// there.
std::optional<Range> block_range(std::string_view pattern, std::int64_t layers) {
  if (pattern == kBlocks) return Range{0, layers - 1};
  if (!pattern.starts_with("blocks.")) return std::nullopt;
  const std::string_view numbers = pattern.substr(kBlocks.size() + 1);
  const std::size_t dash = numbers.find('-');
  const auto first = number(numbers.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : number(numbers.substr(dash + 1));
  if (first && last && *first <= *last && *last < layers) return Range{*first, *last};
  throw UsageError(fmt::format(
      "training.freeze: {} names no blocks of this model, which has blocks 0 to {}; write "
      "blocks.0-{}",
      pattern, layers - 1, layers - 1));
}

bool is_norm(std::string_view name) {
  return name.find(".ln_") != std::string_view::npos;
}

// Whether the word means the tensor; nothing where it is no word.
std::optional<bool> means(std::string_view word, const std::string& name) {
  const bool token = name == "transformer.wte.weight", position = name == "transformer.wpe.weight";
  if (word == "embeddings") return token || position;
  if (word == "token_embedding") return token;
  if (word == "position_embedding") return position;
  if (word == "norms") return is_norm(name);
  if (word == "biases") return name.ends_with(".bias");
  if (word == "head") return name == "lm_head.weight";
  return std::nullopt;
}

bool in_blocks(const Range& range, std::string_view name) {
  constexpr std::string_view kBlock = "transformer.h.";
  if (!name.starts_with(kBlock)) return false;
  const std::string_view rest = name.substr(kBlock.size());
  const auto block = number(rest.substr(0, rest.find('.')));
  return block && *block >= range.first && *block <= range.last;
}

bool matches_name(std::string_view pattern, std::string_view name) {
  return matches(pattern, name) ||
         (name.starts_with(kNetwork) && matches(pattern, name.substr(kNetwork.size())));
}

[[noreturn]] void refuse(const std::string& pattern,
                         const std::vector<model::TensorDescription>& tensors,
                         const model::ModelConfig& config) {
  if (pattern == "head") {
    throw UsageError(
        "training.freeze: the head of this model is its token embedding (model.tied_head); freeze "
        "token_embedding");
  }
  std::vector<std::string_view> known(kWords.begin(), kWords.end());
  for (const model::TensorDescription& t : tensors) {
    known.push_back(t.name);
    if (t.name.starts_with(kNetwork))
      known.push_back(std::string_view(t.name).substr(kNetwork.size()));
  }
  const auto near = config::nearest(pattern, known);
  throw UsageError(fmt::format(
      "training.freeze: {} matches no tensor of this model{}; there are embeddings, "
      "token_embedding, position_embedding, blocks.0-{}, norms, biases, {}and names such as "
      "h.0.attn.c_attn.weight or h.*.mlp.*",
      pattern, near ? fmt::format(" (did you mean {}?)", *near) : "", config.layers - 1,
      config.tied_head ? "" : "head, "));
}

}  // namespace

std::vector<std::string> frozen_tensors(const std::vector<std::string>& patterns,
                                        const model::ModelConfig& config) {
  const std::vector<model::TensorDescription> tensors = model::describe_tensors(config);
  std::set<std::string> frozen;
  for (const std::string& pattern : patterns) {
    const std::optional<Range> blocks = block_range(pattern, config.layers);
    bool found = false;
    for (const model::TensorDescription& t : tensors) {
      const bool meant = blocks ? in_blocks(*blocks, t.name)
                                : means(pattern, t.name).value_or(matches_name(pattern, t.name));
      if (meant) frozen.insert(t.name);
      found = found || meant;
    }
    if (!found) refuse(pattern, tensors, config);
  }
  if (frozen.size() == tensors.size()) {
    throw UsageError(fmt::format(
        "training.freeze leaves nothing to train: all {} tensors are frozen; take a pattern out",
        tensors.size()));
  }
  return {frozen.begin(), frozen.end()};
}

}  // namespace ovid::training
