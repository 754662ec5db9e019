#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/core/file.h"

namespace ovid::tokenizer {

// How control words such as <|stars:5|> stand in the tokens: spelled like any text, each as one
// token behind the tokenizer's vocabulary, or not at all.
enum class ControlKind { kText, kTokens, kNone };

// The control words that a model was trained with, as control.json beside its tokenizer says:
// what lays out a prompt must know them, and the data set may be gone.
struct ControlWords {
  ControlKind kind = ControlKind::kText;
  std::string task;                // "amazon-reviews", "persona-chat"
  std::vector<std::string> words;  // in the order of their ids where they are tokens

  bool operator==(const ControlWords&) const = default;
};

inline constexpr const char* kControlFile = "control.json";

// "text", "tokens", "none".
const char* name_of(ControlKind kind);

// Of `directory`; nothing where it has no control.json. Throws DataError, with the file and the
// reason, for one that is not whole.
std::optional<ControlWords> load_control_words(const Path& directory);

// Writes control.json into `directory`, which must exist. Throws ResourceError.
void save_control_words(const ControlWords& control, const Path& directory);

}  // namespace ovid::tokenizer
