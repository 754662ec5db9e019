#pragma once

#include <string>
#include <string_view>

namespace ovid::chat {

// The text of one reply while it is made: cleaned as prompts::clean_utterance cleans what is said,
// so that it can stand in the history as it was shown, and of all control characters, so that
// nothing in it can steer a terminal; it ends before the first line end.
class ReplyText {
 public:
  // What may be shown now of the reply that goes on with `text`, whole characters of UTF-8; white
  // space only once something follows it.
  std::string push(std::string_view text);

  bool ended() const { return ended_; }
  const std::string& all() const { return all_; }

 private:
  std::string all_;
  bool space_ = false;
  bool ended_ = false;
};

}  // namespace ovid::chat
