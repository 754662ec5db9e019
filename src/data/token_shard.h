#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "src/core/file.h"

// Token shards: the llm.c format. 256 little-endian int32 {magic, version, token count, zeros},
// then the tokens as little-endian uint16; the file is exactly 1,024 + 2 x count bytes. A loss mask
// `train_000000.mask` beside `train_000000.bin` has the same header with its own magic, then one
// byte a token.
namespace ovid::data {

inline constexpr std::int32_t kTokenShardMagic = 20240520;
inline constexpr std::int32_t kMaskShardMagic = 20240521;
inline constexpr std::int32_t kShardVersion = 1;
inline constexpr std::int64_t kShardHeaderBytes = 1024;
// The header counts tokens in an int32.
inline constexpr std::int64_t kMaxShardTokens = 2147483647;
// Tokens are uint16.
inline constexpr std::int64_t kMaxVocabularySize = 65536;

// One shard, mapped read-only. Moves, does not copy; the spans live as long as the object.
class TokenShard {
 public:
  // Maps `path` and its mask, where one lies beside it, after checking magic, version, count and
  // size. A file of even size without the magic is read as headerless tokens, as nanoGPT writes
  // them. Throws DataError where the file is something else, or cut, and ResourceError where it may
  // not be read.
  static TokenShard open(const Path& path);

  std::span<const std::uint16_t> tokens() const { return tokens_; }
  // One byte a token: 1 = its prediction counts, 0 = it is context only. Absent: every token
  // counts.
  std::optional<std::span<const std::uint8_t>> mask() const;
  bool has_header() const { return has_header_; }
  const Path& path() const { return file_.path(); }
  // Gives the memory of tokens [first, first + count) and of their mask back to the system.
  void forget(std::size_t first, std::size_t count) const;
  // Throws DataError where the file was cut, extended or rewritten since open(): reading a cut
  // mapping would end the process. One stat() a call.
  void check_unchanged() const;

 private:
  explicit TokenShard(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::optional<MappedFile> mask_file_;
  std::span<const std::uint16_t> tokens_;
  bool has_header_ = false;
  std::filesystem::file_time_type modified_;
};

// The loss mask that belongs to a shard: the same name with the extension `.mask`.
Path mask_path_of(const Path& shard);

// Reads every token. Throws DataError naming file, index and token where one is not below
// `vocabulary_size`.
void check_vocabulary(const TokenShard& shard, std::int64_t vocabulary_size);
// The same of the tokens [first, first + count) alone, which must be in the shard; whether the file
// is still as it was is the caller's to check.
void check_vocabulary(const TokenShard& shard, std::int64_t vocabulary_size, std::size_t first,
                      std::size_t count);

}  // namespace ovid::data
