#include "src/chat/chat_program.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/chat/persona_file.h"
#include "src/core/log.h"

namespace ovid::chat {
namespace {

void refuse_existing(const Path& path) {
  if (!std::filesystem::exists(path)) return;
  throw UsageError(
      fmt::format("{} is there already; give another name, or remove it", path.string()));
}

}  // namespace

ChatProgram::ChatProgram(ChatSession& session, const tokenizer::Tokenizer& tokenizer,
                         ChatView& view, ChatFiles files)
    : session_(session), tokenizer_(tokenizer), view_(view), files_(std::move(files)) {
  if (!files_.transcript) return;
  refuse_existing(*files_.transcript);
  write_transcript();
}

bool ChatProgram::follow(std::string_view line) {
  const std::string_view blank = " \t\r";
  const std::string_view text = line.substr(std::min(line.find_first_not_of(blank), line.size()));
  const bool is_command = text.starts_with('/') && !text.starts_with("//");
  command_ = is_command ? text.substr(0, text.find_first_of(blank)) : std::string_view();
  try {
    return act(parse_chat_line(line));
  } catch (const UsageError& error) {
    view_.show_error(line, error);
  } catch (const DataError& error) {
    view_.show_error(line, error);
  } catch (const ResourceError& error) {
    view_.show_error(line, error);
  }
  return true;
}

bool ChatProgram::act(const ChatLine& line) {
  switch (line.action) {
    case ChatAction::kSay:
    case ChatAction::kRetry:
      answer(line);
      return true;
    case ChatAction::kShowPersona:
      break;
    case ChatAction::kAddTrait:
      session_.add_trait(line.text);
      break;
    case ChatAction::kRemoveTrait:
      session_.remove_trait(line.number);
      break;
    case ChatAction::kLoadPersona:
      session_.set_persona(read_persona(line.text));
      break;
    case ChatAction::kUndo:
      session_.undo();
      write_transcript();
      view_.show_message(command_, fmt::format("{} turns are left", session_.turns().size()));
      return true;
    case ChatAction::kHistory:
      session_.set_history(line.number);
      [[fallthrough]];
    case ChatAction::kShowHistory:
      view_.show_message(
          command_, session_.history() < 0
                        ? "the model sees all utterances that fit"
                        : fmt::format("the model sees the last {} utterances", session_.history()));
      return true;
    case ChatAction::kSave:
      save(line.text);
      return true;
    case ChatAction::kLayout:
      show_layout();
      return true;
    case ChatAction::kHelp:
      view_.show_message(command_, chat_help());
      return true;
    case ChatAction::kQuit:
      return false;
  }
  write_transcript();
  show_persona();
  return true;
}

void ChatProgram::answer(const ChatLine& line) {
  const auto on_text = [&](std::string_view piece) { return view_.show_piece(piece); };
  const ChatReply reply = line.action == ChatAction::kRetry ? session_.retry(on_text)
                                                            : session_.say(line.text, on_text);
  view_.show_reply(reply);
  write_transcript();
  if (files_.show_layout) show_layout();
  if (reply.dropped == 0 || told_of_dropping_) return;
  told_of_dropping_ = true;
  log::warning(
      "the conversation is longer than the model's context: from now on it does not see the oldest "
      "utterances; the persona stays");
}

void ChatProgram::show_persona() {
  std::string text;
  for (std::size_t i = 0; i < session_.persona().size(); ++i)
    text += fmt::format("{}{}. {}", i == 0 ? "" : "\n", i + 1, session_.persona()[i]);
  view_.show_message(command_, text.empty() ? "no persona; /persona add TEXT gives a trait" : text);
}

void ChatProgram::show_layout() {
  const std::vector<std::int32_t> tokens = session_.seen_tokens();
  view_.show_layout(tokenizer_.decode(tokens), tokens);
}

void ChatProgram::save(const Path& path) {
  refuse_existing(path);
  replace_file(path, session_.transcript());
  view_.show_message(command_, fmt::format("written to {}", path.string()));
}

void ChatProgram::write_transcript() {
  if (files_.transcript) replace_file(*files_.transcript, session_.transcript());
}

}  // namespace ovid::chat
