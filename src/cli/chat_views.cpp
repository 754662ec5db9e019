#include "src/cli/chat_views.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "src/cli/standard_output.h"
#include "src/core/log.h"

namespace ovid::cli {
namespace {

using chat::ChatReply;
using generation::AfterToken;

std::string layout_lines(std::string_view text, const std::vector<std::int32_t>& tokens) {
  return fmt::format("{}\n{} tokens: {}", text, tokens.size(), fmt::join(tokens, ","));
}

class TerminalView : public chat::ChatView {
 public:
  explicit TerminalView(ChatInput& input) : input_(input) {}

  AfterToken show_piece(std::string_view piece) override {
    print(piece);
    return input_.take_interrupt() ? AfterToken::kStop : AfterToken::kContinue;
  }
  void show_reply(const ChatReply& reply) override {
    print_line(reply.turn.reply.empty() ? "(no reply; /retry asks again)" : "");
  }
  void show_message(std::string_view, std::string_view text) override { print_line(text); }
  void show_layout(std::string_view text, const std::vector<std::int32_t>& tokens) override {
    print_line(layout_lines(text, tokens));
  }
  void show_error(std::string_view, const Error& error) override { log::error(error.what()); }

 private:
  ChatInput& input_;
};

class LineView : public chat::ChatView {
 public:
  AfterToken show_piece(std::string_view) override { return AfterToken::kContinue; }
  void show_reply(const ChatReply& reply) override { print_line(reply.turn.reply); }
  void show_message(std::string_view, std::string_view text) override {
    log::info(std::string(text));
  }
  void show_layout(std::string_view text, const std::vector<std::int32_t>& tokens) override {
    log::info(layout_lines(text, tokens));
  }
  // Called while `error` is handled: a script must not go on as if its line had been followed.
  void show_error(std::string_view, const Error&) override { throw; }
};

class JsonView : public chat::ChatView {
 public:
  AfterToken show_piece(std::string_view) override { return AfterToken::kContinue; }
  void show_reply(const ChatReply& reply) override {
    write({{"turn", reply.number},
           {"seed", reply.seed},
           {"message", reply.turn.message},
           {"reply", reply.turn.reply},
           {"prompt_tokens", reply.prompt},
           {"tokens", reply.tokens},
           {"finish_reason", generation::name_of(reply.finish_reason)},
           {"dropped_utterances", reply.dropped},
           {"reused_tokens", reply.reused}});
  }
  void show_message(std::string_view command, std::string_view text) override {
    write({{"command", command}, {"text", text}});
  }
  void show_layout(std::string_view text, const std::vector<std::int32_t>& tokens) override {
    write({{"command", "/layout"}, {"text", text}, {"tokens", tokens}});
  }
  void show_error(std::string_view line, const Error& error) override {
    write({{"error", error.what()}, {"line", line.substr(0, kShownBytes)}});
  }

 private:
  static constexpr std::size_t kShownBytes = 200;
  // What people and files gave may hold any bytes, cut or not.
  static void write(const nlohmann::ordered_json& object) {
    print_line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
};

}  // namespace

std::unique_ptr<chat::ChatView> terminal_view(ChatInput& input) {
  return std::make_unique<TerminalView>(input);
}

std::unique_ptr<chat::ChatView> line_view() {
  return std::make_unique<LineView>();
}

std::unique_ptr<chat::ChatView> json_view() {
  return std::make_unique<JsonView>();
}

}  // namespace ovid::cli
