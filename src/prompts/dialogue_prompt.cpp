#include "src/prompts/dialogue_prompt.h"

#include <fmt/format.h>

#include <utility>

#include "src/core/error.h"
#include "src/prompts/control_word.h"

namespace ovid::prompts {

namespace {

void append(DialogueLayout::Tokens& tokens, const DialogueLayout::Tokens& more) {
  tokens.insert(tokens.end(), more.begin(), more.end());
}

DialogueWord word_of(const DialogueUtterance& utterance) {
  return utterance.self ? DialogueWord::kSelf : DialogueWord::kPartner;
}

std::size_t total(const std::vector<DialogueLayout::Tokens>& lines) {
  std::size_t sum = 0;
  for (const auto& line : lines) sum += line.size();
  return sum;
}

// The text of a line that begins with `word`; nothing for another line.
bool take_word(std::string_view line, std::string_view word, std::string& text) {
  if (!line.starts_with(word) || line.substr(word.size(), 1) != " ") return false;
  text = line.substr(word.size() + 1);
  return true;
}

}  // namespace

std::string clean_utterance(std::string_view text) {
  std::string out;
  bool space = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == ' ' || (c >= '\t' && c <= '\r')) {
      space = true;
    } else if (byte >= 0x20 && byte != 0x7F) {
      if (space && !out.empty()) out += ' ';
      space = false;
      out += c;
    }
  }
  return out == "__SILENCE__" || out == "__ SILENCE __" ? std::string() : out;
}

DialogueContext parse_context(std::string_view text) {
  const auto& [persona, partner, self] = DialogueLayout::control_words();
  DialogueContext context;
  for (;;) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const bool is_last = end == std::string_view::npos;
    if (is_last && line == self) return context;
    std::string content;
    if (!is_last && take_word(line, persona, content)) {
      context.persona.push_back(std::move(content));
    } else if (!is_last && take_word(line, partner, content)) {
      context.utterances.push_back({false, std::move(content)});
    } else if (!is_last && take_word(line, self, content)) {
      context.utterances.push_back({true, std::move(content)});
    } else {
      throw DataError(fmt::format(
          "a dialogue's context has the line of {} bytes that begins with '{}', where {}, {} or {} "
          "was expected; make the data set again with ovid-data persona-chat",
          line.size(), line.substr(0, 20), persona, partner, self));
    }
    text.remove_prefix(end + 1);
  }
}

const DialogueLayout::Words& DialogueLayout::control_words() {
  static const Words words{"<|persona|>", "<|partner|>", "<|self|>"};
  return words;
}

DialogueLayout::DialogueLayout(const tokenizer::Tokenizer& tokenizer, tokenizer::ControlKind kind,
                               Words words)
    : tokenizer_(tokenizer), words_(std::move(words)) {
  for (std::size_t i = 0; i < words_.size(); ++i) {
    if (!words_[i].empty()) tokens_[i] = control_word_tokens(tokenizer, kind, words_[i]);
  }
}

std::string DialogueLayout::line_text(DialogueWord word, std::string_view text) const {
  return fmt::format("{}{}\n", words_[index(word)].empty() ? "" : " ", text);
}

DialogueLayout::Tokens DialogueLayout::reply(std::string_view text) const {
  return tokenizer_.encode(line_text(DialogueWord::kSelf, text));
}

// GPT-2's pattern parts the end of a word, ">" or ":", from " text", and a line end from what
// follows: the tokens of the parts are those of the whole.
void DialogueLayout::append_line(DialogueWord word, std::string_view text,
                                 tokenizer::EncodeCache& cache, Tokens& tokens) const {
  append(tokens, tokens_[index(word)]);
  tokenizer_.encode_append(line_text(word, text), tokenizer::SpecialTokens::kAsText, cache, tokens);
}

DialogueLayout::Tokens DialogueLayout::context(const DialogueContext& context) const {
  Tokens tokens{tokenizer_.end_of_text()};
  const auto add = [&](DialogueWord of, std::string_view text) {
    append(tokens, word(of));
    append(tokens, tokenizer_.encode(line_text(of, text)));
  };
  for (const std::string& trait : context.persona) add(DialogueWord::kPersona, trait);
  for (const DialogueUtterance& utterance : context.utterances) {
    if (!utterance.text.empty()) add(word_of(utterance), utterance.text);
  }
  append(tokens, word(DialogueWord::kSelf));
  return tokens;
}

std::string DialogueLayout::context_text(const DialogueContext& context) const {
  std::string text;
  const auto add = [&](DialogueWord of, std::string_view content) {
    text += words_[index(of)] + line_text(of, content);
  };
  for (const std::string& trait : context.persona) add(DialogueWord::kPersona, trait);
  for (const DialogueUtterance& utterance : context.utterances) {
    if (!utterance.text.empty()) add(word_of(utterance), utterance.text);
  }
  return text + words_[index(DialogueWord::kSelf)];
}

FittedContext DialogueLayout::fit(const DialogueContext& context, std::size_t most,
                                  std::size_t reserved) const {
  std::vector<Tokens> persona, utterances;
  const auto line = [&](DialogueWord of, std::string_view text) {
    Tokens tokens = word(of);
    append(tokens, tokenizer_.encode(line_text(of, text)));
    return tokens;
  };
  for (const std::string& trait : context.persona)
    persona.push_back(line(DialogueWord::kPersona, trait));
  for (const DialogueUtterance& u : context.utterances)
    utterances.push_back(u.text.empty() ? Tokens() : line(word_of(u), u.text));
  const std::size_t frame = 1 + word(DialogueWord::kSelf).size();
  if (reserved > most || frame > most - reserved) {
    throw DataError(fmt::format(
        "a reply of {} tokens behind a context of at least {} does not fit the {} tokens that the "
        "model sees at once; use a model with a longer context",
        reserved, frame, most));
  }
  std::size_t room = most - reserved - frame;
  FittedContext fitted;
  for (; total(persona) > room; persona.pop_back()) ++fitted.dropped_traits;
  room -= total(persona);
  std::size_t first = 0;
  for (std::size_t all = total(utterances); all > room; ++first) all -= utterances[first].size();
  fitted.dropped_utterances = first;
  fitted.tokens.push_back(tokenizer_.end_of_text());
  for (const Tokens& trait : persona) append(fitted.tokens, trait);
  for (std::size_t i = first; i < utterances.size(); ++i) append(fitted.tokens, utterances[i]);
  append(fitted.tokens, word(DialogueWord::kSelf));
  return fitted;
}

}  // namespace ovid::prompts
