#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/chat/chat_line.h"
#include "src/chat/chat_session.h"
#include "src/core/error.h"
#include "src/core/file.h"

namespace ovid::chat {

// Where a conversation is shown.
class ChatView {
 public:
  virtual ~ChatView() = default;
  // A piece of a reply that is being made; kStop ends it there.
  virtual generation::AfterToken show_piece(std::string_view piece) = 0;
  virtual void show_reply(const ChatReply& reply) = 0;  // whole, after its pieces
  // What a command (empty: none) has to say.
  virtual void show_message(std::string_view command, std::string_view text) = 0;
  virtual void show_layout(std::string_view text, const std::vector<std::int32_t>& tokens) = 0;
  // A line that could not be followed; may throw it on, which ends the conversation.
  virtual void show_error(std::string_view line, const Error& error) = 0;
};

struct ChatFiles {
  std::optional<Path> transcript;  // holds the conversation after each turn
  bool show_layout = false;        // of each reply
};

// Follows the lines of a conversation one by one.
class ChatProgram {
 public:
  // Keeps references to both. Throws UsageError where the transcript's file is there already.
  ChatProgram(ChatSession& session, const tokenizer::Tokenizer& tokenizer, ChatView& view,
              ChatFiles files);

  // Says the line or does what it asks for; false: it asks for the end. Errors of the line go to
  // the view; others are thrown.
  bool follow(std::string_view line);

 private:
  bool act(const ChatLine& line);
  void answer(const ChatLine& line);
  void show_persona();
  void show_layout();
  void save(const Path& path);
  void write_transcript();

  ChatSession& session_;
  const tokenizer::Tokenizer& tokenizer_;
  ChatView& view_;
  ChatFiles files_;
  bool told_of_dropping_ = false;
  std::string command_;  // of the line in work, empty where it is said
};

}  // namespace ovid::chat
