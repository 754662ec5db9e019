#include "tests/ptx_emulator/runtime/fat_binary.h"

namespace ptx_emulator {

// A block is a row of sequences: a byte with two lengths of four bits, more bytes of the first
// length, literals, two bytes of distance, more bytes of the second length, which is that of a
// repetition less 4. The last sequence ends behind its literals.
std::optional<std::string> decompress_lz4(std::span<const std::byte> block,
                                          std::uint64_t size_bytes) {
  constexpr std::uint64_t kExtended = 15;
  // One byte adds at most 255 to a length.
  if (size_bytes / 255 > block.size()) return std::nullopt;
  std::size_t position = 0;
  const auto next = [&]() -> std::uint64_t {
    return std::to_integer<std::uint64_t>(block[position++]);
  };
  const auto extend = [&](std::uint64_t& length) {
    if (length != kExtended) return true;
    while (position < block.size()) {
      const std::uint64_t more = next();
      length += more;
      if (more != 255) return true;
    }
    return false;
  };
  std::string text;
  text.reserve(size_bytes);
  while (position < block.size()) {
    const std::uint64_t lengths = next();
    std::uint64_t num_literals = lengths >> 4;
    if (!extend(num_literals) || num_literals > block.size() - position ||
        num_literals > size_bytes - text.size()) {
      return std::nullopt;
    }
    text.append(reinterpret_cast<const char*>(block.data() + position), num_literals);
    position += num_literals;
    if (position == block.size()) break;
    if (block.size() - position < 2) return std::nullopt;
    std::uint64_t distance = next();
    distance |= next() << 8;
    std::uint64_t repetition = lengths & 15;
    if (!extend(repetition)) return std::nullopt;
    repetition += 4;
    if (distance == 0 || distance > text.size() || repetition > size_bytes - text.size()) {
      return std::nullopt;
    }
    // The repetition may reach into what it writes.
    for (std::uint64_t i = 0; i < repetition; ++i) text.push_back(text[text.size() - distance]);
  }
  if (text.size() != size_bytes) return std::nullopt;
  return text;
}

}  // namespace ptx_emulator
