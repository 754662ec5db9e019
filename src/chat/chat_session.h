#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/generation/sequence_writer.h"
#include "src/prompts/dialogue_prompt.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::chat {

struct ChatSettings {
  generation::SamplingSettings sampling;
  std::int64_t max_new_tokens = 64;  // of a reply
  std::int64_t history = -1;         // utterances that the model sees, what is said last among
                                     // them; -1: all that fit
};

// What was said and answered; either may be empty.
struct ChatTurn {
  std::string message;
  std::string reply;
  std::int64_t attempt = 0;  // how often the reply was made anew
};

// How a reply came about.
struct ChatReply {
  ChatTurn turn;
  std::size_t number = 0;            // of the turn, from 0 on
  std::uint64_t seed = 0;            // of the random numbers, with the turn's number
  std::vector<std::int32_t> prompt;  // all that the model saw
  std::vector<std::int32_t> tokens;  // all that were drawn
  generation::FinishReason finish_reason = generation::FinishReason::kLength;
  std::size_t dropped = 0;  // utterances that did not fit the context
  std::int64_t reused = 0;  // tokens of the prompt that were not computed again
};

// A piece of the reply, to be shown at once; kStop ends the reply with it.
using OnReplyText = std::function<generation::AfterToken(std::string_view piece)>;

// One conversation: persona, turns, and the model that answers. A reply is a pure function of
// model, persona, the turns that the model sees, settings, the turn's number and its attempt: the
// seed of attempt n is n above that of the settings. It ends at a line end, <|endoftext|> or an
// added token. Where an operation throws, the conversation stays as it was.
class ChatSession {
 public:
  // Keeps references to all three and takes the memory of one context.
  ChatSession(const generation::GenerationModel& model, const tokenizer::Tokenizer& tokenizer,
              const prompts::DialogueLayout& layout, ChatSettings settings);

  // Adds a turn. Utterances that do not fit the context are left out from the oldest on; the
  // persona and the message stay. Throws UsageError where these alone do not fit.
  ChatReply say(const std::string& message, const OnReplyText& on_text);
  // Another reply in the last turn, with the next seed. Throws UsageError where there is none.
  ChatReply retry(const OnReplyText& on_text);
  // Takes the last turn back. Throws UsageError where there is none.
  void undo();

  const std::vector<std::string>& persona() const { return persona_; }
  // Throws UsageError where the context has no room for them, or for too many.
  void set_persona(std::vector<std::string> traits);
  void add_trait(const std::string& trait);
  void remove_trait(std::int64_t number);  // from 1 on; throws UsageError for another

  std::int64_t history() const { return settings_.history; }
  void set_history(std::int64_t utterances) { settings_.history = utterances; }

  const std::vector<ChatTurn>& turns() const { return turns_; }
  std::string transcript() const;

  // The tokens that the model saw before its last reply; before the first, those it would see.
  std::vector<std::int32_t> seen_tokens() const;

 private:
  prompts::DialogueContext context_before(std::size_t turn, const std::string& message) const;
  prompts::FittedContext fitted(const prompts::DialogueContext& context) const;
  ChatReply reply_in(std::size_t turn, const ChatTurn& asked, const OnReplyText& on_text);
  std::int64_t reserved_tokens() const;

  const tokenizer::Tokenizer& tokenizer_;
  const prompts::DialogueLayout& layout_;
  ChatSettings settings_;
  generation::SequenceWriter writer_;
  std::vector<std::int32_t> end_tokens_;
  std::vector<std::string> persona_;
  std::vector<ChatTurn> turns_;
  std::vector<std::int32_t> seen_;
};

}  // namespace ovid::chat
