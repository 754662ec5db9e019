#include "src/chat/chat_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/chat/persona_file.h"
#include "src/chat/reply_text.h"
#include "src/core/error.h"
#include "src/tokenizer/stream_decoder.h"

namespace ovid::chat {

using generation::AfterToken;

ChatSession::ChatSession(const generation::GenerationModel& model,
                         const tokenizer::Tokenizer& tokenizer,
                         const prompts::DialogueLayout& layout, ChatSettings settings)
    : tokenizer_(tokenizer), layout_(layout), settings_(settings), writer_(model) {
  end_tokens_.push_back(tokenizer.end_of_text());
  for (const tokenizer::AddedToken& token : tokenizer.vocabulary().added)
    end_tokens_.push_back(token.id);
}

// A reply must have room even in a short context; a quarter leaves the rest to what is answered.
std::int64_t ChatSession::reserved_tokens() const {
  return std::min(settings_.max_new_tokens,
                  std::max<std::int64_t>(writer_.context_length() / 4, 1));
}

prompts::DialogueContext ChatSession::context_before(std::size_t turn,
                                                     const std::string& message) const {
  prompts::DialogueContext context{.persona = persona_, .utterances = {}};
  auto& utterances = context.utterances;
  const auto add = [&](bool self, const std::string& text) {
    if (!text.empty()) utterances.push_back({.self = self, .text = text});
  };
  for (std::size_t i = 0; i < turn; ++i) {
    add(false, turns_[i].message);
    add(true, turns_[i].reply);
  }
  add(false, message);
  const auto history = static_cast<std::uint64_t>(settings_.history);  // -1: more than there are
  if (utterances.size() > history) {
    utterances.erase(utterances.begin(), utterances.end() - static_cast<std::ptrdiff_t>(history));
  }
  return context;
}

prompts::FittedContext ChatSession::fitted(const prompts::DialogueContext& context) const {
  prompts::FittedContext fit =
      layout_.fit(context, static_cast<std::size_t>(writer_.context_length()),
                  static_cast<std::size_t>(reserved_tokens()));
  if (fit.dropped_traits > 0) {
    throw UsageError(fmt::format(
        "a persona of {} traits does not fit the model's context of {} tokens, of which {} are for "
        "the reply; take {} of them away",
        context.persona.size(), writer_.context_length(), reserved_tokens(), fit.dropped_traits));
  }
  return fit;
}

ChatReply ChatSession::reply_in(std::size_t turn, const ChatTurn& asked,
                                const OnReplyText& on_text) {
  const prompts::DialogueContext context = context_before(turn, asked.message);
  const prompts::FittedContext fit = fitted(context);
  if (!asked.message.empty() && fit.dropped_utterances == context.utterances.size()) {
    throw UsageError(fmt::format(
        "a message of {} bytes does not fit the model's context of {} tokens beside the persona; "
        "say it in fewer words",
        asked.message.size(), writer_.context_length()));
  }
  ChatReply reply{.turn = asked,
                  .number = turn,
                  .seed = settings_.sampling.seed + static_cast<std::uint64_t>(asked.attempt),
                  .prompt = fit.tokens,
                  .tokens = {},
                  .dropped = fit.dropped_utterances};
  generation::SamplingSettings sampling = settings_.sampling;
  sampling.seed = reply.seed;
  const auto room = writer_.context_length() - static_cast<std::int64_t>(fit.tokens.size());
  tokenizer::StreamDecoder decoder(tokenizer_);
  ReplyText text;
  auto after = AfterToken::kContinue;
  const auto show = [&](const std::string& decoded) {
    const std::string piece = text.push(decoded);
    if (on_text && !piece.empty()) after = on_text(piece);
  };
  generation::WrittenSequence written = writer_.write(
      {.prompt = fit.tokens,
       .sampling = sampling,
       .number = static_cast<std::int64_t>(turn),
       .max_new_tokens = std::min(settings_.max_new_tokens, room),
       .end_tokens = end_tokens_,
       .vocabulary = tokenizer_.vocabulary_size()},
      [&](std::int32_t token) {
        if (std::find(end_tokens_.begin(), end_tokens_.end(), token) == end_tokens_.end())
          show(decoder.push(token));
        return text.ended() ? AfterToken::kStop : after;
      });
  show(decoder.finish());
  reply.turn.reply = text.all();
  reply.tokens = std::move(written.tokens);
  reply.finish_reason = written.finish_reason;
  reply.reused = written.reused;
  seen_ = reply.prompt;
  return reply;
}

ChatReply ChatSession::say(const std::string& message, const OnReplyText& on_text) {
  ChatReply reply = reply_in(turns_.size(), {.message = message, .reply = {}}, on_text);
  turns_.push_back(reply.turn);
  return reply;
}

ChatReply ChatSession::retry(const OnReplyText& on_text) {
  if (turns_.empty()) throw UsageError("nothing was answered yet: say something first");
  ChatTurn again = turns_.back();
  ++again.attempt;
  ChatReply reply = reply_in(turns_.size() - 1, again, on_text);
  turns_.back() = reply.turn;
  return reply;
}

void ChatSession::undo() {
  if (turns_.empty()) throw UsageError("nothing was said yet: there is nothing to take back");
  turns_.pop_back();
}

void ChatSession::set_persona(std::vector<std::string> traits) {
  if (traits.size() > kMostTraits) {
    throw UsageError(fmt::format("{} traits are more than {}", traits.size(), kMostTraits));
  }
  (void)fitted({.persona = traits, .utterances = {}});
  persona_ = std::move(traits);
}

void ChatSession::add_trait(const std::string& trait) {
  std::vector<std::string> traits = persona_;
  traits.push_back(trait);
  set_persona(std::move(traits));
}

void ChatSession::remove_trait(std::int64_t number) {
  if (number < 1 || number > static_cast<std::int64_t>(persona_.size())) {
    throw UsageError(fmt::format("there is no trait {}: the persona has {}; /persona shows them",
                                 number, persona_.size()));
  }
  persona_.erase(persona_.begin() + static_cast<std::ptrdiff_t>(number - 1));
}

std::string ChatSession::transcript() const {
  std::string text;
  for (const std::string& trait : persona_) text += fmt::format("persona: {}\n", trait);
  if (!persona_.empty()) text += "\n";
  for (const ChatTurn& turn : turns_) {
    if (!turn.message.empty()) text += fmt::format("partner: {}\n", turn.message);
    if (!turn.reply.empty()) text += fmt::format("self: {}\n", turn.reply);
  }
  return text;
}

std::vector<std::int32_t> ChatSession::seen_tokens() const {
  return seen_.empty() ? fitted(context_before(turns_.size(), "")).tokens : seen_;
}

}  // namespace ovid::chat
