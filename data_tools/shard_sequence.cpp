#include "data_tools/shard_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/token_shard.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kBufferTokens = 1 << 18;

void write_header(OutputFile& file, std::int64_t count) {
  std::array<std::int32_t, 256> words{};
  words[0] = data::kTokenShardMagic;
  words[1] = data::kShardVersion;
  words[2] = static_cast<std::int32_t>(count);
  file.write_at(0, std::as_bytes(std::span(words)));
}

}  // namespace

struct ShardSequence::OpenShard {
  explicit OpenShard(const Path& path) : file(path, WriteMode::kTruncate) {
    // The count is not known yet; -1 makes a file that was cut here unreadable rather than empty.
    const std::array<std::byte, data::kShardHeaderBytes> room{};
    file.write(room);
    write_header(file, -1);
  }

  void flush() {
    const auto bytes = std::as_bytes(std::span(buffer));
    checksum.update(bytes);
    file.write(bytes);
    buffer.clear();
  }

  OutputFile file;
  Checksum checksum;
  std::vector<std::uint16_t> buffer;
  std::int64_t tokens = 0;
};

ShardSequence::ShardSequence(data::ShardWriterOptions options) : options_(std::move(options)) {
  if (options_.max_tokens < 1 || options_.max_tokens > data::kMaxShardTokens) {
    throw UsageError(
        fmt::format("a shard of {} tokens is not possible: it holds 1 to {} (100000000 is usual)",
                    options_.max_tokens, data::kMaxShardTokens));
  }
}

ShardSequence::~ShardSequence() = default;

Path ShardSequence::next_path() const {
  return options_.directory / fmt::format("{}_{:06}.bin", options_.prefix, complete_.size());
}

void ShardSequence::restore(const ShardSequenceState& state) {
  complete_ = state.complete;
  for (data::WrittenShard& shard : complete_) {
    shard.path = options_.directory / shard.path.filename();
    if (size_of_file(shard.path) != shard.bytes) {
      throw DataError(
          fmt::format("{} has {} bytes, and {} were written before the interruption; "
                      "begin anew with --restart",
                      shard.path.string(), size_of_file(shard.path), shard.bytes));
    }
    total_tokens_ += shard.tokens;
  }
  if (state.open_tokens == 0) return;
  // The tokens that count are written again, through the same door as all others, so that the
  // checksum is made on the way; the old file stays until the new one can take its place.
  const Path path = next_path();
  Path old_path = path;
  old_path += ".old";
  if (!std::filesystem::exists(old_path)) rename_durably(path, old_path);
  {
    const MappedFile old(old_path);
    const auto wanted = static_cast<std::uint64_t>(data::kShardHeaderBytes + 2 * state.open_tokens);
    if (old.bytes().size() < wanted) {
      throw DataError(
          fmt::format("{} has {} bytes, and {} were written before the interruption; "
                      "begin anew with --restart",
                      path.string(), old.bytes().size(), wanted));
    }
    const auto* tokens =
        reinterpret_cast<const std::uint16_t*>(old.bytes().data() + data::kShardHeaderBytes);
    append({tokens, static_cast<std::size_t>(state.open_tokens)});
    sync();
  }
  std::filesystem::remove(old_path);
}

void ShardSequence::append(std::span<const std::uint16_t> tokens) {
  while (!tokens.empty()) {
    if (shard_ && shard_->tokens == options_.max_tokens) complete_shard();
    if (!shard_) shard_ = std::make_unique<OpenShard>(next_path());
    const std::int64_t room = options_.max_tokens - shard_->tokens;
    const std::size_t count = std::min(
        {tokens.size(), static_cast<std::size_t>(room), kBufferTokens - shard_->buffer.size()});
    shard_->buffer.insert(shard_->buffer.end(), tokens.begin(), tokens.begin() + count);
    tokens = tokens.subspan(count);
    shard_->tokens += static_cast<std::int64_t>(count);
    total_tokens_ += static_cast<std::int64_t>(count);
    if (shard_->buffer.size() == kBufferTokens) shard_->flush();
  }
}

void ShardSequence::sync() {
  if (!shard_) return;
  shard_->flush();
  shard_->file.sync();
}

ShardSequenceState ShardSequence::state() const {
  return {.complete = complete_, .open_tokens = shard_ ? shard_->tokens : 0};
}

void ShardSequence::complete_shard() {
  shard_->flush();
  write_header(shard_->file, shard_->tokens);
  shard_->file.sync();
  shard_->file.close();
  complete_.push_back(
      {.path = shard_->file.path(),
       .tokens = shard_->tokens,
       .bytes = static_cast<std::uint64_t>(data::kShardHeaderBytes + 2 * shard_->tokens),
       .checksum = shard_->checksum.digest(),
       .has_mask = false});
  shard_.reset();
}

std::vector<data::WrittenShard> ShardSequence::finish() {
  if (shard_) complete_shard();
  return complete_;
}

}  // namespace ovid::data_tools
