#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/core/file.h"

// Shards written by hand, so that what the module writes is not the measure of what it reads.
namespace ovid::test {

inline std::string shard_header(std::int32_t magic, std::int32_t version, std::int32_t count) {
  std::vector<std::int32_t> words(256, 0);
  words[0] = magic;
  words[1] = version;
  words[2] = count;
  return {reinterpret_cast<const char*>(words.data()), words.size() * 4};
}

inline std::string as_string(const std::vector<std::uint16_t>& tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size() * 2};
}

inline void write_shard(const Path& path, const std::vector<std::uint16_t>& tokens) {
  replace_file(path, shard_header(20240520, 1, static_cast<std::int32_t>(tokens.size())) +
                         as_string(tokens));
}

inline void write_mask(const Path& path, const std::vector<std::uint8_t>& mask) {
  replace_file(path, shard_header(20240521, 1, static_cast<std::int32_t>(mask.size())) +
                         std::string(mask.begin(), mask.end()));
}

// count tokens: first, first + 1, ...
inline std::vector<std::uint16_t> counting(std::size_t count, int first = 0) {
  std::vector<std::uint16_t> tokens(count);
  for (std::size_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<std::uint16_t>(first + static_cast<int>(i));
  }
  return tokens;
}

}  // namespace ovid::test
