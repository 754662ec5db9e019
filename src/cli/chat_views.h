#pragma once

#include <memory>
#include <string>

#include "src/chat/chat_program.h"
#include "src/cli/chat_input.h"

namespace ovid::cli {

// A person at a terminal: replies appear while they are made; Ctrl-C (asked of `input`, which is
// kept by reference) ends one; errors are told and the conversation goes on.
std::unique_ptr<chat::ChatView> terminal_view(ChatInput& input);

// A pipe: each reply is one line on standard output and all else goes to standard error; an error
// ends the conversation.
std::unique_ptr<chat::ChatView> line_view();

// A program: one JSON object a line for each line of input, errors among them.
std::unique_ptr<chat::ChatView> json_view();

}  // namespace ovid::cli
