#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/control_tokens.h"
#include "data_tools/dialogue.h"
#include "src/prompts/dialogue_prompt.h"

namespace ovid::data_tools {

// Tokens of a document and, of each, whether its prediction counts (1) or not (0).
struct MaskedDocument {
  std::vector<std::uint16_t> tokens;
  std::vector<std::uint8_t> mask;
};

// The documents of a data set: dialogues as prompts::DialogueLayout lays them out. What follows
// <|self|>, its line end included, counts; all else is context.
class DialogueDocuments {
 public:
  DialogueDocuments(const tokenizer::Tokenizer& tokenizer, ControlKind kind);
  DialogueDocuments(const DialogueDocuments&) = delete;  // the layout keeps a reference
  DialogueDocuments& operator=(const DialogueDocuments&) = delete;

  const ControlTokens& control() const { return control_; }

  // The whole dialogue; every reply counts.
  MaskedDocument whole(const Dialogue& dialogue);
  // Persona, the last `history` utterances (-1: all) and the reply of one turn, which alone counts.
  MaskedDocument one_reply(const Dialogue& dialogue, std::size_t turn, std::int64_t history);

  // What stands before the reply of one turn, up to and with <|self|>, as tokens and as text
  // (without <|endoftext|>). A candidate goes on with a space, its text and a line end.
  std::vector<std::uint16_t> context_tokens(const Dialogue& dialogue, std::size_t turn,
                                            std::int64_t history) const;
  std::string context_text(const Dialogue& dialogue, std::size_t turn, std::int64_t history) const;

 private:
  MaskedDocument begin() const;
  void add_line(MaskedDocument& document, prompts::DialogueWord word, const std::string& text);
  void add_reply(MaskedDocument& document, const std::string& reply);

  ControlTokens control_;
  prompts::DialogueLayout layout_;
  tokenizer::EncodeCache cache_;
  prompts::DialogueLayout::Tokens line_;
};

}  // namespace ovid::data_tools
