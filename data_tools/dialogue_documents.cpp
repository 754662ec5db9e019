#include "data_tools/dialogue_documents.h"

#include <algorithm>

namespace ovid::data_tools {

using prompts::DialogueWord;

namespace {

// What stands before the reply of one turn.
prompts::DialogueContext context_of(const Dialogue& dialogue, std::size_t turn,
                                    std::int64_t history) {
  prompts::DialogueContext context{.persona = dialogue.persona, .utterances = {}};
  auto& utterances = context.utterances;
  for (std::size_t i = 0; i <= turn; ++i) {
    const Turn& spoken = dialogue.turns[i];
    if (!spoken.partner.empty()) utterances.push_back({.self = false, .text = spoken.partner});
    if (i < turn && !spoken.reply.empty()) {
      utterances.push_back({.self = true, .text = spoken.reply});
    }
  }
  const auto wanted = history < 0 ? utterances.size()
                                  : std::min(utterances.size(), static_cast<std::size_t>(history));
  utterances.erase(utterances.begin(), utterances.end() - static_cast<std::ptrdiff_t>(wanted));
  return context;
}

}  // namespace

DialogueDocuments::DialogueDocuments(const tokenizer::Tokenizer& tokenizer, ControlKind kind)
    : control_(tokenizer, {.kind = kind,
                           .task = prompts::kDialogueTask,
                           .words = {prompts::DialogueLayout::control_words().begin(),
                                     prompts::DialogueLayout::control_words().end()}}),
      layout_(control_.tokenizer(), kind) {}

MaskedDocument DialogueDocuments::begin() const {
  return {.tokens = {static_cast<std::uint16_t>(control_.tokenizer().end_of_text())}, .mask = {0}};
}

void DialogueDocuments::add_line(MaskedDocument& document, DialogueWord word,
                                 const std::string& text) {
  line_.clear();
  layout_.append_line(word, text, cache_, line_);
  document.tokens.insert(document.tokens.end(), line_.begin(), line_.end());
  document.mask.resize(document.tokens.size(), 0);
}

void DialogueDocuments::add_reply(MaskedDocument& document, const std::string& reply) {
  const std::size_t counts_from = document.tokens.size() + layout_.word(DialogueWord::kSelf).size();
  add_line(document, DialogueWord::kSelf, reply);
  std::fill(document.mask.begin() + static_cast<std::ptrdiff_t>(counts_from), document.mask.end(),
            std::uint8_t{1});
}

MaskedDocument DialogueDocuments::whole(const Dialogue& dialogue) {
  MaskedDocument document = begin();
  for (const std::string& trait : dialogue.persona) {
    add_line(document, DialogueWord::kPersona, trait);
  }
  for (const Turn& turn : dialogue.turns) {
    if (!turn.partner.empty()) add_line(document, DialogueWord::kPartner, turn.partner);
    if (!turn.reply.empty()) add_reply(document, turn.reply);
  }
  return document;
}

MaskedDocument DialogueDocuments::one_reply(const Dialogue& dialogue, std::size_t turn,
                                            std::int64_t history) {
  MaskedDocument document = begin();
  const prompts::DialogueContext context = context_of(dialogue, turn, history);
  for (const std::string& trait : context.persona) {
    add_line(document, DialogueWord::kPersona, trait);
  }
  for (const prompts::DialogueUtterance& utterance : context.utterances) {
    add_line(document, utterance.self ? DialogueWord::kSelf : DialogueWord::kPartner,
             utterance.text);
  }
  add_reply(document, dialogue.turns[turn].reply);
  return document;
}

std::vector<std::uint16_t> DialogueDocuments::context_tokens(const Dialogue& dialogue,
                                                             std::size_t turn,
                                                             std::int64_t history) const {
  const auto tokens = layout_.context(context_of(dialogue, turn, history));
  return {tokens.begin(), tokens.end()};
}

std::string DialogueDocuments::context_text(const Dialogue& dialogue, std::size_t turn,
                                            std::int64_t history) const {
  return layout_.context_text(context_of(dialogue, turn, history));
}

}  // namespace ovid::data_tools
