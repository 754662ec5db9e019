#include "data_tools/dialogue_layout.h"

#include <algorithm>

namespace ovid::data_tools {

DialogueLayout::DialogueLayout(const tokenizer::Tokenizer& tokenizer, ControlKind kind)
    : tokenizer_(tokenizer),
      control_(tokenizer, kind, {"<|persona|>", "<|partner|>", "<|self|>"}) {}

std::vector<DialogueLayout::Line> DialogueLayout::lines_before(const Dialogue& dialogue,
                                                               std::size_t turn,
                                                               std::int64_t history) {
  std::vector<Line> utterances;
  for (std::size_t i = 0; i <= turn; ++i) {
    const Turn& spoken = dialogue.turns[i];
    if (!spoken.partner.empty()) utterances.push_back({kPartner, &spoken.partner});
    if (i < turn && !spoken.reply.empty()) utterances.push_back({kSelf, &spoken.reply});
  }
  const auto wanted = history < 0 ? utterances.size()
                                  : std::min(utterances.size(), static_cast<std::size_t>(history));
  std::vector<Line> lines;
  for (const std::string& trait : dialogue.persona) lines.push_back({kPersona, &trait});
  lines.insert(lines.end(), utterances.end() - static_cast<std::ptrdiff_t>(wanted),
               utterances.end());
  return lines;
}

void DialogueLayout::begin(MaskedDocument& document) const {
  document.tokens.assign(1, static_cast<std::uint16_t>(tokenizer_.end_of_text()));
  document.mask.assign(1, 0);
}

void DialogueLayout::add_word(MaskedDocument& document, Word word) const {
  const std::vector<std::uint16_t>& tokens = control_.tokens_of(word);
  document.tokens.insert(document.tokens.end(), tokens.begin(), tokens.end());
  document.mask.resize(document.tokens.size(), 0);
}

void DialogueLayout::add_line(MaskedDocument& document, const Line& line, bool counts) {
  add_word(document, line.word);
  // GPT-2's pattern parts ">" from " text", and the line end from "<", so that the parts have the
  // tokens of the whole.
  append_text(tokenizer_, " " + *line.text + "\n", cache_, document.tokens);
  document.mask.resize(document.tokens.size(), counts ? 1 : 0);
}

MaskedDocument DialogueLayout::whole(const Dialogue& dialogue) {
  MaskedDocument document;
  begin(document);
  for (const std::string& trait : dialogue.persona) add_line(document, {kPersona, &trait}, false);
  for (const Turn& turn : dialogue.turns) {
    if (!turn.partner.empty()) add_line(document, {kPartner, &turn.partner}, false);
    if (!turn.reply.empty()) add_line(document, {kSelf, &turn.reply}, true);
  }
  return document;
}

MaskedDocument DialogueLayout::one_reply(const Dialogue& dialogue, std::size_t turn,
                                         std::int64_t history) {
  MaskedDocument document;
  begin(document);
  for (const Line& line : lines_before(dialogue, turn, history)) add_line(document, line, false);
  add_line(document, {kSelf, &dialogue.turns[turn].reply}, true);
  return document;
}

std::vector<std::uint16_t> DialogueLayout::context_tokens(const Dialogue& dialogue,
                                                          std::size_t turn, std::int64_t history) {
  MaskedDocument document;
  begin(document);
  for (const Line& line : lines_before(dialogue, turn, history)) add_line(document, line, false);
  add_word(document, kSelf);
  return document.tokens;
}

std::string DialogueLayout::context_text(const Dialogue& dialogue, std::size_t turn,
                                         std::int64_t history) const {
  std::string text;
  for (const Line& line : lines_before(dialogue, turn, history)) {
    text += control_.words()[line.word] + " " + *line.text + "\n";
  }
  return text + control_.words()[kSelf];
}

}  // namespace ovid::data_tools
