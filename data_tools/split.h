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

// By position: validation begins with the first token that starts at or after byte floor(bytes x (1
// - fraction)) of the document, and not inside a character. Returns how many tokens come before it;
// all of them where there is none.
std::size_t tokens_for_training(std::span<const std::uint16_t> tokens,
                                const tokenizer::Tokenizer& tokenizer, double fraction);

}  // namespace ovid::data_tools
