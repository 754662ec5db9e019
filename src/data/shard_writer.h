#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/core/file.h"

namespace ovid::data {

struct WrittenShard {
  Path path;
  std::int64_t tokens = 0;
  std::uint64_t bytes = 0;  // of the file
  std::string checksum;     // of the tokens, without the header: XXH3-128 in hexadecimal
  bool has_mask = false;
};

struct ShardWriterOptions {
  Path directory;      // must exist
  std::string prefix;  // "train" makes train_000000.bin, train_000001.bin, ...
  std::int64_t max_tokens = 100'000'000;
};

// Writes tokens into shards of at most `max_tokens`. A shard appears under its name only when it is
// complete and on disk: until then it is `<name>.tmp`, which the destructor removes. Throws
// UsageError for a max_tokens outside [1, 2^31 - 1], ResourceError where the disk does not take a
// write; after an exception only destruction is allowed.
class ShardWriter {
 public:
  explicit ShardWriter(ShardWriterOptions options);
  ~ShardWriter();
  ShardWriter(const ShardWriter&) = delete;
  ShardWriter& operator=(const ShardWriter&) = delete;

  // Appends tokens, going on in the next shard where one is full. A writer is fed either always
  // with a mask (as many bytes as tokens, each 0 or 1) or always without: the other is a
  // UsageError.
  void append(std::span<const std::uint16_t> tokens);
  void append(std::span<const std::uint16_t> tokens, std::span<const std::uint8_t> mask);

  // Completes the last shard and returns all of them in order; empty where no token was appended.
  // Call once.
  std::vector<WrittenShard> finish();

  std::int64_t total_tokens() const { return total_tokens_; }

 private:
  struct OpenShard;
  void append_all(std::span<const std::uint16_t> tokens, const std::uint8_t* mask);
  void begin_shard(bool with_mask);
  void complete_shard();

  ShardWriterOptions options_;
  std::unique_ptr<OpenShard> shard_;
  std::optional<bool> with_mask_;
  std::vector<WrittenShard> written_;
  std::int64_t total_tokens_ = 0;
};

}  // namespace ovid::data
