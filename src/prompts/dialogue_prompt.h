#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "src/tokenizer/control_words.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::prompts {

inline constexpr const char* kDialogueTask = "persona-chat";  // in control.json

// A text on one line: runs of white space become single spaces, control characters and space at
// either end go; the word that stands for silence (__SILENCE__) becomes empty. Pure.
std::string clean_utterance(std::string_view text);

struct DialogueUtterance {
  bool self = false;  // by the one whose persona and replies these are; else by the partner
  std::string text;   // on one line; empty: it has no line in the layout
};

// What stands before a reply.
struct DialogueContext {
  std::vector<std::string> persona;
  std::vector<DialogueUtterance> utterances;
};

// Reads the text of a context: lines of a control word, a space and a text, the last one <|self|>
// alone. Throws DataError for another.
DialogueContext parse_context(std::string_view text);

struct FittedContext {
  std::vector<tokenizer::TokenId> tokens;
  std::size_t dropped_utterances = 0;  // the oldest
  std::size_t dropped_traits = 0;      // of the persona, the last
  bool trimmed() const { return dropped_utterances + dropped_traits > 0; }
};

enum class DialogueWord { kPersona, kPartner, kSelf };

// How a dialogue stands in tokens, for the data set and for every prompt: <|endoftext|>, then a
// line for each trait and each utterance,
//   <|persona|> i like tea.
//   <|partner|> hello , how are you ?
//   <|self|> fine , i am having tea .
// each a control word, a space, the text and a line end. Immutable.
class DialogueLayout {
 public:
  using Tokens = std::vector<tokenizer::TokenId>;
  using Words = std::array<std::string, 3>;  // by DialogueWord; empty: text and line end alone

  static const Words& control_words();  // <|persona|>, <|partner|>, <|self|>

  // Keeps a reference to `tokenizer`, which has the added tokens where `kind` says tokens: else it
  // throws DataError.
  DialogueLayout(const tokenizer::Tokenizer& tokenizer, tokenizer::ControlKind kind,
                 Words words = control_words());

  const Tokens& word(DialogueWord word) const { return tokens_[index(word)]; }

  // What follows a control word: a space, the text, a line end.
  Tokens reply(std::string_view text) const;

  // Appends a whole line; `cache` makes many of them fast.
  void append_line(DialogueWord word, std::string_view text, tokenizer::EncodeCache& cache,
                   Tokens& tokens) const;

  // <|endoftext|>, the lines and the word of <|self|>: a reply follows.
  Tokens context(const DialogueContext& context) const;
  std::string context_text(const DialogueContext& context) const;  // without <|endoftext|>

  // The same, so that `reserved` more tokens make at most `most`. Utterances that do not fit are
  // left out from the oldest on, then traits of the persona from the last on. Throws DataError
  // where not even the frame fits.
  FittedContext fit(const DialogueContext& context, std::size_t most, std::size_t reserved) const;

 private:
  static std::size_t index(DialogueWord word) { return static_cast<std::size_t>(word); }
  std::string line_text(DialogueWord word, std::string_view text) const;  // behind the word

  const tokenizer::Tokenizer& tokenizer_;
  Words words_;
  std::array<Tokens, 3> tokens_;
};

}  // namespace ovid::prompts
