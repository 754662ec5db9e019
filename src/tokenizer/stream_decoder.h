#pragma once

#include <string>

#include "src/tokenizer/tokenizer.h"

namespace ovid::tokenizer {

// Turns tokens into text one by one, for output that is shown while it is made. Everything it
// returns is valid UTF-8 and ends at a character's end: a character whose bytes come in several
// tokens is held back until it is whole. All that was returned, laid end to end, equals
// replace_invalid_utf8(tokenizer.decode(all ids)).
class StreamDecoder {
 public:
  // Keeps a reference to `tokenizer`.
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // The text that became whole with this token; often empty in the middle of a character. Throws
  // DataError for an id outside the vocabulary.
  std::string push(TokenId id);

  // What is left: empty, or U+FFFD where the tokens ended inside a character. Ready for a new text
  // afterwards.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  std::string held_;  // the first bytes of a character
};

}  // namespace ovid::tokenizer
