#include "src/data/shard_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/token_shard.h"

namespace ovid::data {
namespace {

constexpr std::size_t kBufferTokens = 1 << 18;

std::array<std::int32_t, 256> header(std::int32_t magic, std::int64_t count) {
  std::array<std::int32_t, 256> words{};
  words[0] = magic;
  words[1] = kShardVersion;
  words[2] = static_cast<std::int32_t>(count);
  return words;
}

Path unfinished(const Path& path) {
  Path name = path;
  name += ".tmp";
  return name;
}

void remove_quietly(const Path& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace

struct ShardWriter::OpenShard {
  OpenShard(const Path& final_path, bool with_mask)
      : path(final_path), file(unfinished(final_path), WriteMode::kTruncate) {
    // The count is not known yet; -1 makes a file that was cut here unreadable rather than empty.
    const auto tokens_header = header(kTokenShardMagic, -1);
    file.write(std::as_bytes(std::span(tokens_header)));
    if (!with_mask) return;
    mask_file.emplace(unfinished(mask_path_of(final_path)), WriteMode::kTruncate);
    const auto mask_header = header(kMaskShardMagic, -1);
    mask_file->write(std::as_bytes(std::span(mask_header)));
  }

  void flush() {
    const auto bytes = std::as_bytes(std::span(buffer));
    checksum.update(bytes);
    file.write(bytes);
    if (mask_file) mask_file->write(std::as_bytes(std::span(mask_buffer)));
    buffer.clear();
    mask_buffer.clear();
  }

  Path path;
  OutputFile file;
  std::optional<OutputFile> mask_file;
  Checksum checksum;
  std::vector<std::uint16_t> buffer;
  std::vector<std::uint8_t> mask_buffer;
  std::int64_t tokens = 0;
};

ShardWriter::ShardWriter(ShardWriterOptions options) : options_(std::move(options)) {
  if (options_.max_tokens < 1 || options_.max_tokens > kMaxShardTokens) {
    throw UsageError(
        fmt::format("a shard of {} tokens is not possible: it holds 1 to {} (100000000 is usual)",
                    options_.max_tokens, kMaxShardTokens));
  }
}

ShardWriter::~ShardWriter() {
  if (!shard_) return;
  remove_quietly(unfinished(shard_->path));
  if (shard_->mask_file) remove_quietly(unfinished(mask_path_of(shard_->path)));
}

void ShardWriter::append(std::span<const std::uint16_t> tokens) {
  append_all(tokens, nullptr);
}

void ShardWriter::append(std::span<const std::uint16_t> tokens,
                         std::span<const std::uint8_t> mask) {
  if (mask.size() != tokens.size()) {
    throw UsageError(fmt::format("a mask of {} bytes was given for {} tokens; they must be equal",
                                 mask.size(), tokens.size()));
  }
  if (std::any_of(mask.begin(), mask.end(), [](std::uint8_t byte) { return byte > 1; })) {
    throw UsageError("a loss mask holds 0 and 1 only");
  }
  if (!tokens.empty()) append_all(tokens, mask.data());
}

void ShardWriter::append_all(std::span<const std::uint16_t> tokens, const std::uint8_t* mask) {
  if (tokens.empty()) return;
  const bool with_mask = mask != nullptr;
  if (with_mask_.value_or(with_mask) != with_mask) {
    throw UsageError("some tokens came with a loss mask and some without; give all of them one");
  }
  with_mask_ = with_mask;
  while (!tokens.empty()) {
    if (shard_ && shard_->tokens == options_.max_tokens) complete_shard();
    if (!shard_) begin_shard(with_mask);
    const std::int64_t room = options_.max_tokens - shard_->tokens;
    const std::size_t count = std::min(
        {tokens.size(), static_cast<std::size_t>(room), kBufferTokens - shard_->buffer.size()});
    shard_->buffer.insert(shard_->buffer.end(), tokens.begin(), tokens.begin() + count);
    if (with_mask) {
      shard_->mask_buffer.insert(shard_->mask_buffer.end(), mask, mask + count);
      mask += count;
    }
    tokens = tokens.subspan(count);
    shard_->tokens += static_cast<std::int64_t>(count);
    total_tokens_ += static_cast<std::int64_t>(count);
    if (shard_->buffer.size() == kBufferTokens) shard_->flush();
  }
}

void ShardWriter::begin_shard(bool with_mask) {
  const std::string name = fmt::format("{}_{:06}.bin", options_.prefix, written_.size());
  shard_ = std::make_unique<OpenShard>(options_.directory / name, with_mask);
}

void ShardWriter::complete_shard() {
  const auto complete_file = [&](OutputFile& file, std::int32_t magic, const Path& final_path) {
    const auto complete_header = header(magic, shard_->tokens);
    file.write_at(0, std::as_bytes(std::span(complete_header)));
    file.sync();
    file.close();
    rename_durably(unfinished(final_path), final_path);
  };
  shard_->flush();
  // The mask first: a shard without its mask would be trained on as if every token counted.
  if (shard_->mask_file) {
    complete_file(*shard_->mask_file, kMaskShardMagic, mask_path_of(shard_->path));
  }
  complete_file(shard_->file, kTokenShardMagic, shard_->path);
  written_.push_back({.path = shard_->path,
                      .tokens = shard_->tokens,
                      .bytes = static_cast<std::uint64_t>(kShardHeaderBytes + 2 * shard_->tokens),
                      .checksum = shard_->checksum.digest(),
                      .has_mask = shard_->mask_file.has_value()});
  shard_.reset();
}

std::vector<WrittenShard> ShardWriter::finish() {
  if (shard_) complete_shard();
  return std::move(written_);
}

}  // namespace ovid::data
