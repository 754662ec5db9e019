#pragma once

#include <cstddef>
#include <string_view>

namespace ovid::tokenizer {

// The end of the piece that begins at `begin` < text.size(). Cuts as GPT-2's pattern does,
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// with Unicode 16. A byte that is not part of a UTF-8 character counts as neither letter, number
// nor space. Merges never cross the end of a piece. Source of the pattern: Radford et al. 2019,
// published code.
std::size_t piece_end(std::string_view text, std::size_t begin);

}  // namespace ovid::tokenizer
