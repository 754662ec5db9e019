#pragma once

#include <cstdint>
#include <span>

#include "src/tokenizer/tokenizer.h"

// Which part of a corpus validates.
namespace ovid::data_tools {

// Whether a corpus of that many documents is split by document: where there are at least 2 /
// fraction. Fewer are split by position, each one's last part.
bool splits_by_document(std::uint64_t documents, double fraction);

// By document: the documents fall into runs of 1 / fraction neighbours (their lengths differ by one
// at most), and of each run one validates, drawn by (seed, run). So the fraction is exact and no
// part is empty, whatever the texts are.
bool is_validation_document(std::uint64_t index, double fraction, std::uint64_t seed);

// By position: of a document of `bytes` bytes, validation begins with the first token that starts
// at or after byte floor(bytes x (1 - fraction)), and not inside a character. The tokens are given
// in parts, in order.
class PositionSplit {
 public:
  PositionSplit(std::uint64_t bytes, double fraction);
  // How many tokens of this part come before validation: all of them where it has not begun, none
  // where an earlier part has begun it.
  std::size_t tokens_for_training(std::span<const std::uint16_t> tokens,
                                  const tokenizer::Tokenizer& tokenizer);

 private:
  std::uint64_t boundary_;
  std::uint64_t start_ = 0;  // of the next token
  bool validating_ = false;
};

}  // namespace ovid::data_tools
