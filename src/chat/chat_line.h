#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ovid::chat {

enum class ChatAction {
  kSay,  // text: what the partner says, on one line; empty: nothing
  kShowPersona,
  kAddTrait,     // text
  kRemoveTrait,  // number, from 1 on
  kLoadPersona,  // text: the file
  kRetry,
  kUndo,
  kHistory,  // number: utterances; -1: all
  kShowHistory,
  kSave,  // text: the file
  kLayout,
  kHelp,
  kQuit,
};

struct ChatLine {
  ChatAction action = ChatAction::kSay;
  std::string text;
  std::int64_t number = 0;
};

inline constexpr std::size_t kMostLineBytes = 64 * 1024;

// What a line asks for: a command where it begins with one slash; with two, the first is left out
// and the rest is said. Bytes that are not UTF-8 become U+FFFD, white space single spaces. Pure.
// Throws UsageError for an unknown command, one that lacks what it is about, and lines of more
// than kMostLineBytes.
ChatLine parse_chat_line(std::string_view line);

// The commands, one a line, as /help shows them.
std::string_view chat_help();

}  // namespace ovid::chat
