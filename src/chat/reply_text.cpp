#include "src/chat/reply_text.h"

#include <cstddef>

namespace ovid::chat {
namespace {

// U+0080 to U+009F, some of which terminals take for the beginning of a command.
bool is_c1_control(std::string_view text) {
  if (text.size() < 2 || text[0] != '\xC2') return false;
  const auto second = static_cast<unsigned char>(text[1]);
  return second >= 0x80 && second <= 0x9F;
}

}  // namespace

std::string ReplyText::push(std::string_view text) {
  const std::size_t before = all_.size();
  for (std::size_t i = 0; i < text.size() && !ended_; ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      ended_ = true;
    } else if (c == ' ' || (c >= '\t' && c <= '\r')) {
      space_ = true;
    } else if (is_c1_control(text.substr(i))) {
      ++i;
    } else if (byte >= 0x20 && byte != 0x7F) {
      if (space_ && !all_.empty()) all_ += ' ';
      space_ = false;
      all_ += c;
    }
  }
  return all_.substr(before);
}

}  // namespace ovid::chat
