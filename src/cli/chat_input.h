#pragma once

#include <optional>
#include <string>

namespace ovid::cli {

// Lines of standard input, for a conversation. On a terminal SIGINT (Ctrl-C) does not end the
// process: while a line is awaited it ends the input, else it is there to be asked for. One at a
// time.
class ChatInput {
 public:
  explicit ChatInput(bool terminal);
  ~ChatInput();
  ChatInput(const ChatInput&) = delete;
  ChatInput& operator=(const ChatInput&) = delete;

  // The next line without its end; of one that is too long for a conversation only as much as
  // shows that. Nothing at the end. Throws ResourceError.
  std::optional<std::string> next();

  // Whether SIGINT came since it was asked last.
  bool take_interrupt();

 private:
  bool fill();  // false at the end

  const bool terminal_;
  bool at_end_ = false;
  std::string buffer_;
};

}  // namespace ovid::cli
