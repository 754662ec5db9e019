#include "src/chat/chat_line.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "src/core/error.h"
#include "src/prompts/dialogue_prompt.h"
#include "src/tokenizer/utf8.h"

namespace ovid::chat {
namespace {

struct Words {
  std::string_view first, rest;
};

Words split(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return {text, {}};
  return {text.substr(0, space), text.substr(space + 1)};
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

ChatLine with_text(ChatAction action, std::string_view text, const char* usage) {
  if (text.empty()) throw UsageError(fmt::format("something is missing: {}", usage));
  return {.action = action, .text = std::string(text)};
}

ChatLine persona_command(std::string_view rest) {
  if (rest.empty()) return {.action = ChatAction::kShowPersona, .text = {}};
  const auto [what, text] = split(rest);
  if (what == "add") return with_text(ChatAction::kAddTrait, text, "/persona add i like tea.");
  if (what == "load") return with_text(ChatAction::kLoadPersona, text, "/persona load FILE");
  const auto number = whole_number(text);
  if (what == "remove" && number)
    return {.action = ChatAction::kRemoveTrait, .text = {}, .number = *number};
  throw UsageError(fmt::format(
      "/persona {} is not understood: add TEXT, remove NUMBER, load FILE, or nothing to show it",
      rest));
}

ChatLine history_command(std::string_view rest) {
  if (rest.empty()) return {.action = ChatAction::kShowHistory, .text = {}};
  const auto number = whole_number(rest);
  if (!number || *number == 0 || *number < -1) {
    throw UsageError(fmt::format(
        "/history {} is not possible: 1 or more utterances, or -1 for all of them", rest));
  }
  return {.action = ChatAction::kHistory, .text = {}, .number = *number};
}

}  // namespace

ChatLine parse_chat_line(std::string_view line) {
  if (line.size() > kMostLineBytes) {
    throw UsageError(fmt::format("a line has {} bytes; {} at most: say it in parts", line.size(),
                                 kMostLineBytes));
  }
  const std::string text = prompts::clean_utterance(tokenizer::replace_invalid_utf8(line).text);
  if (!text.starts_with('/')) return {.action = ChatAction::kSay, .text = text};
  if (text.starts_with("//")) return {.action = ChatAction::kSay, .text = text.substr(1)};
  const auto [command, rest] = split(text);
  if (command == "/persona") return persona_command(rest);
  if (command == "/history") return history_command(rest);
  if (command == "/save") return with_text(ChatAction::kSave, rest, "/save FILE");
  struct Plain {
    std::string_view name;
    ChatAction action;
  };
  constexpr Plain kPlain[] = {{"/retry", ChatAction::kRetry},   {"/undo", ChatAction::kUndo},
                              {"/layout", ChatAction::kLayout}, {"/help", ChatAction::kHelp},
                              {"/quit", ChatAction::kQuit},     {"/exit", ChatAction::kQuit}};
  for (const Plain& plain : kPlain) {
    if (command == plain.name && rest.empty()) return {.action = plain.action, .text = {}};
  }
  throw UsageError(fmt::format(
      "{} is no command; /help lists them, and a line with two slashes is said with one", text));
}

std::string_view chat_help() {
  return "/persona              show who the model is\n"
         "/persona add TEXT     give it one more trait\n"
         "/persona remove N     take the N-th trait away\n"
         "/persona load FILE    another persona, a trait on each line\n"
         "/retry                another reply to the same, with the next seed\n"
         "/undo                 forget what was said and answered last\n"
         "/history N            see only the last N utterances; -1: all that fit\n"
         "/save FILE            write the conversation to a new file\n"
         "/layout               the text and the tokens that the model saw last\n"
         "/help                 this list\n"
         "/quit                 end\n"
         "//TEXT                say /TEXT\n"
         "An empty line lets the model go on.";
}

}  // namespace ovid::chat
