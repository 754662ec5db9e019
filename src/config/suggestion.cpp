#include "src/config/suggestion.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "src/config/schema.h"

namespace ovid::config {
namespace {

constexpr std::size_t kLongestWord = 64;  // no key comes near it, and the distance is quadratic

// Names that other programs give to the same thing; too far for the distance to find them.
constexpr std::pair<std::string_view, std::string_view> kForeignNames[] = {
    {"lr", "optimizer.learning_rate"},
    {"max_lr", "optimizer.learning_rate"},
    {"grad_clip", "optimizer.gradient_clip"},
    {"max_grad_norm", "optimizer.gradient_clip"},
    {"eps", "optimizer.epsilon"},
    {"batch_size", "batch.sequences"},
    {"micro_batch_size", "batch.micro_sequences"},
    {"block_size", "model.context_length"},
    {"n_layer", "model.layers"},
    {"num_layers", "model.layers"},
    {"n_head", "model.heads"},
    {"num_heads", "model.heads"},
    {"n_embd", "model.width"},
    {"hidden_size", "model.width"},
    {"n_positions", "model.context_length"},
    {"n_ctx", "model.context_length"},
    {"vocab_size", "model.vocabulary_size"},
    {"max_iters", "training.steps"},
    {"max_steps", "training.steps"},
    {"warmup", "schedule.warmup_steps"},
    {"warmup_iters", "schedule.warmup_steps"},
    {"eval_interval", "validation.every_steps"},
    {"init_from", "initialize_from"},
    {"dtype", "precision"},
    {"out_dir", "run.directory"},
    {"tie_word_embeddings", "model.tied_head"},
    {"base", "include"},
    {"defaults", "include"},
    {"extends", "include"},
    {"inherits", "include"},
    {"_base_", "include"},
    {"accumulation_steps", "batch.micro_sequences"},
    {"gradient_accumulation_steps", "batch.micro_sequences"},
    {"ema", "weight_average.decay"},
    {"ema_decay", "weight_average.decay"},
    {"epochs", "training.steps"},
    {"freeze", "training.freeze"},
    {"freeze_layers", "training.freeze"},
    {"frozen", "training.freeze"},
    {"gradient_checkpointing", "recompute"},
    {"lora_alpha", "lora.alpha"},
    {"lora_r", "lora.rank"},
    {"lora_rank", "lora.rank"},
    {"target_modules", "lora.targets"},
    {"num_train_epochs", "training.steps"},
    {"output_dir", "run.directory"},
    {"save_steps", "checkpoint.every_steps"},
    {"save_total_limit", "checkpoint.keep_last"},
    {"scheduler", "schedule"},
    {"seq_len", "batch.length"},
};

// The same for the values of choices.
constexpr std::pair<std::string_view, std::string_view> kForeignChoices[] = {
    {"fp32", "float32"},
    {"float", "float32"},
    {"bf16", "bfloat16"},
    {"fp16", "float16"},
    {"half", "float16"},
    {"tf32", "tfloat32"},
    {"gpu", "cuda"},
    {"gpt2", "gpt2-124m"},
    {"gpt2-small", "gpt2-124m"},
    {"gpt2-medium", "gpt2-355m"},
    {"gpt2-large", "gpt2-774m"},
    {"gpt2-xl", "gpt2-1558m"},
    {"gpt2-1.5b", "gpt2-1558m"},
    {"wsd", "warmup_stable_decay"},
    {"random", "shuffled"},
    {"full", "block"},
    {"deterministic", "canonical"},
};

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '-') c = '_';
  }
  return out;
}

std::string did_you_mean(std::string_view name) {
  return fmt::format("did you mean `{}`?", name);
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
  if (word.size() > kLongestWord) return std::nullopt;
  const std::string lower = in_lower_case(word);
  std::size_t best = std::max<std::size_t>(1, word.size() / 3) + 1;
  std::optional<std::string_view> found;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(lower, in_lower_case(candidate));
    // A word of one letter is one edit from every other: nothing may be replaced whole.
    if (distance < best && distance < std::max(word.size(), candidate.size())) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string suggest_key(std::string_view section, std::string_view name) {
  std::vector<std::string_view> here;
  std::vector<std::string_view> homes;  // sections that have a key of this very name
  std::vector<std::string_view> elsewhere;
  if (section.empty()) {
    for (const Section& other : sections()) {
      if (!other.name.empty()) here.push_back(other.name);
    }
    here.push_back(include_key().path);
  }
  for (const Key& key : schema()) {
    const auto [home, last] = split_path(key.path);
    if (home == section) {
      here.push_back(last);
    } else {
      elsewhere.push_back(last);
      if (last == name) homes.push_back(home);
    }
  }
  if (name == include_key().path) return fmt::format("`{}` stands at the top level", name);
  if (!homes.empty()) {
    if (homes.front().empty()) return fmt::format("`{}` stands at the top level", name);
    return fmt::format("`{}` lives in `{}`", name, fmt::join(homes, "`, `"));
  }
  if (!section.empty() && find_section(name) != nullptr) {
    return fmt::format("`{}` is a section of the top level", name);
  }
  if (const auto near = nearest(name, here)) return did_you_mean(*near);
  for (const auto& [foreign, path] : kForeignNames) {
    if (foreign != name) continue;
    const auto [home, last] = split_path(path);
    return did_you_mean(home == section ? last : path);
  }
  if (const auto near = nearest(name, elsewhere)) {
    for (const Key& key : schema()) {
      if (split_path(key.path).second == *near) return did_you_mean(key.path);
    }
  }
  return {};
}

std::string suggest_parting(std::string_view section, std::string_view written) {
  const std::size_t end = written.find_first_of(":= ");
  if (end == std::string_view::npos) return {};
  const std::string_view name = written.substr(0, end);
  const std::string path =
      section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
  const bool known = find_key(path) != nullptr || path == include_key().path ||
                     (section.empty() && find_section(name) != nullptr);
  const std::size_t value = written.find_first_not_of(":= ", end);
  if (!known || value == std::string_view::npos) return {};
  return fmt::format("{}: {}", name, written.substr(value));
}

std::optional<std::string_view> suggest_choice(std::string_view word,
                                               std::span<const std::string_view> choices) {
  const std::string lower = in_lower_case(word);
  for (const auto& [foreign, choice] : kForeignChoices) {
    const bool is_one = std::find(choices.begin(), choices.end(), choice) != choices.end();
    if (is_one && lower == in_lower_case(foreign)) return choice;
  }
  return nearest(word, choices);
}

}  // namespace ovid::config
