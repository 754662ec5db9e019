#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/control_tokens.h"
#include "data_tools/dialogue.h"

namespace ovid::data_tools {

// Tokens of a document and, of each, whether its prediction counts (1) or not (0).
struct MaskedDocument {
  std::vector<std::uint16_t> tokens;
  std::vector<std::uint8_t> mask;
};

// How a dialogue stands in tokens: <|endoftext|>, then a line for each trait and each utterance,
//   <|persona|> i like tea.
//   <|partner|> hello , how are you ?
//   <|self|> fine , i am having tea .
// each a control word, a space, the text and a line end. What follows <|self|>, its line end
// included, counts; all else is context. An utterance that is empty has no line.
class DialogueLayout {
 public:
  // Keeps a reference to `tokenizer`.
  DialogueLayout(const tokenizer::Tokenizer& tokenizer, ControlKind kind);

  const ControlTokens& control() const { return control_; }

  // The whole dialogue; every reply counts.
  MaskedDocument whole(const Dialogue& dialogue);
  // Persona, the last `history` utterances (-1: all) and the reply of one turn, which alone counts.
  MaskedDocument one_reply(const Dialogue& dialogue, std::size_t turn, std::int64_t history);

  // What stands before the reply of one turn, up to and with <|self|>, as tokens and as text
  // (without <|endoftext|>). A candidate goes on with a space, its text and a line end.
  std::vector<std::uint16_t> context_tokens(const Dialogue& dialogue, std::size_t turn,
                                            std::int64_t history);
  std::string context_text(const Dialogue& dialogue, std::size_t turn, std::int64_t history) const;

 private:
  enum Word { kPersona, kPartner, kSelf };
  struct Line {
    Word word;
    const std::string* text;
  };
  static std::vector<Line> lines_before(const Dialogue& dialogue, std::size_t turn,
                                        std::int64_t history);
  void begin(MaskedDocument& document) const;
  void add_word(MaskedDocument& document, Word word) const;
  void add_line(MaskedDocument& document, const Line& line, bool counts);

  const tokenizer::Tokenizer& tokenizer_;
  ControlTokens control_;
  tokenizer::EncodeCache cache_;
};

}  // namespace ovid::data_tools
