#include "src/tokenizer/stream_decoder.h"

#include <utility>

#include "src/tokenizer/utf8.h"

namespace ovid::tokenizer {

std::string StreamDecoder::push(TokenId id) {
  held_ += tokenizer_.token_bytes(id);
  // At most the last three bytes can be a character's beginning: find the first one whose step the
  // end cuts short.
  std::size_t whole = held_.size();
  const std::size_t earliest = held_.size() > 3 ? held_.size() - 3 : 0;
  for (std::size_t at = earliest; at < held_.size(); ++at) {
    if (utf8_step(held_, at).cut) {
      whole = at;
      break;
    }
  }
  std::string ready = replace_invalid_utf8(std::string_view(held_).substr(0, whole)).text;
  held_.erase(0, whole);
  return ready;
}

std::string StreamDecoder::finish() {
  return replace_invalid_utf8(std::exchange(held_, {})).text;
}

}  // namespace ovid::tokenizer
