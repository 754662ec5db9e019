#include "data_tools/shard_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/data/token_shard.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kBufferTokens = 1 << 18;

void write_header(OutputFile& file, std::int32_t magic, std::int64_t count) {
  std::array<std::int32_t, 256> words{};
  words[0] = magic;
  words[1] = data::kShardVersion;
  words[2] = static_cast<std::int32_t>(count);
  file.write_at(0, std::as_bytes(std::span(words)));
}

// The count is not known yet; -1 makes a file that was cut here unreadable rather than empty.
void begin_file(OutputFile& file, std::int32_t magic) {
  const std::array<std::byte, data::kShardHeaderBytes> room{};
  file.write(room);
  write_header(file, magic, -1);
}

void complete_file(OutputFile& file, std::int32_t magic, std::int64_t count) {
  write_header(file, magic, count);
  file.sync();
  file.close();
}

// A file of an earlier process, out of the way of the one that takes its place.
class SetAside {
 public:
  // `element_bytes` of each of `count` elements behind the header must be there.
  SetAside(const Path& path, std::int64_t count, std::int64_t element_bytes) : old_path_(path) {
    old_path_ += ".old";
    if (!std::filesystem::exists(old_path_)) rename_durably(path, old_path_);
    file_.emplace(old_path_);
    const auto wanted = static_cast<std::uint64_t>(data::kShardHeaderBytes + element_bytes * count);
    if (file_->bytes().size() >= wanted) return;
    throw DataError(
        fmt::format("{} has {} bytes, and {} were written before the interruption; "
                    "begin anew with --restart",
                    path.string(), file_->bytes().size(), wanted));
  }

  const std::byte* data() const { return file_->bytes().data() + data::kShardHeaderBytes; }
  void remove() {
    file_.reset();
    std::filesystem::remove(old_path_);
  }

 private:
  Path old_path_;
  std::optional<MappedFile> file_;
};

}  // namespace

std::string as_json(const ShardSequenceState& state) {
  nlohmann::ordered_json shards = nlohmann::ordered_json::array();
  for (const data::WrittenShard& shard : state.complete)
    shards.push_back({shard.path.filename().string(), shard.tokens, shard.bytes, shard.checksum});
  nlohmann::ordered_json json{{"shards", std::move(shards)}, {"open_tokens", state.open_tokens}};
  if (state.has_mask) json["has_mask"] = true;
  return json.dump();
}

ShardSequenceState shard_sequence_state_from(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  ShardSequenceState state{.complete = {},
                           .open_tokens = json.at("open_tokens"),
                           .has_mask = json.value("has_mask", false)};
  for (const auto& shard : json.at("shards")) {
    state.complete.push_back({.path = Path(shard.at(0).get<std::string>()).filename(),
                              .tokens = shard.at(1),
                              .bytes = shard.at(2),
                              .checksum = shard.at(3),
                              .has_mask = state.has_mask});
  }
  return state;
}

struct ShardSequence::OpenShard {
  OpenShard(const Path& path, bool with_mask) : file(path, WriteMode::kTruncate) {
    begin_file(file, data::kTokenShardMagic);
    if (!with_mask) return;
    mask_file.emplace(data::mask_path_of(path), WriteMode::kTruncate);
    begin_file(*mask_file, data::kMaskShardMagic);
  }

  void flush() {
    const auto bytes = std::as_bytes(std::span(buffer));
    checksum.update(bytes);
    file.write(bytes);
    if (mask_file) mask_file->write(std::as_bytes(std::span(mask_buffer)));
    buffer.clear();
    mask_buffer.clear();
  }

  OutputFile file;
  std::optional<OutputFile> mask_file;
  Checksum checksum;
  std::vector<std::uint16_t> buffer;
  std::vector<std::uint8_t> mask_buffer;
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
  if (state.open_tokens > 0) append_again(state.open_tokens, state.has_mask);
}

// The tokens that count are written again, through the same door as all others, so that the
// checksum is made on the way; the old files stay until the new ones can take their place.
void ShardSequence::append_again(std::int64_t tokens, bool with_mask) {
  const Path path = next_path();
  SetAside old(path, tokens, 2);
  std::optional<SetAside> old_mask;
  std::span<const std::uint8_t> mask;
  if (with_mask) {
    old_mask.emplace(data::mask_path_of(path), tokens, 1);
    mask = {reinterpret_cast<const std::uint8_t*>(old_mask->data()),
            static_cast<std::size_t>(tokens)};
  }
  append({reinterpret_cast<const std::uint16_t*>(old.data()), static_cast<std::size_t>(tokens)},
         mask);
  sync();
  old.remove();
  if (old_mask) old_mask->remove();
}

void ShardSequence::append(std::span<const std::uint16_t> tokens,
                           std::span<const std::uint8_t> mask) {
  const bool with_mask = !mask.empty();
  while (!tokens.empty()) {
    if (shard_ && shard_->tokens == options_.max_tokens) complete_shard();
    if (!shard_) shard_ = std::make_unique<OpenShard>(next_path(), with_mask);
    const std::int64_t room = options_.max_tokens - shard_->tokens;
    const std::size_t count = std::min(
        {tokens.size(), static_cast<std::size_t>(room), kBufferTokens - shard_->buffer.size()});
    shard_->buffer.insert(shard_->buffer.end(), tokens.begin(), tokens.begin() + count);
    tokens = tokens.subspan(count);
    if (with_mask) {
      shard_->mask_buffer.insert(shard_->mask_buffer.end(), mask.begin(), mask.begin() + count);
      mask = mask.subspan(count);
    }
    shard_->tokens += static_cast<std::int64_t>(count);
    total_tokens_ += static_cast<std::int64_t>(count);
    if (shard_->buffer.size() == kBufferTokens) shard_->flush();
  }
}

void ShardSequence::sync() {
  if (!shard_) return;
  shard_->flush();
  shard_->file.sync();
  if (shard_->mask_file) shard_->mask_file->sync();
}

ShardSequenceState ShardSequence::state() const {
  const bool masked =
      shard_ ? shard_->mask_file.has_value() : !complete_.empty() && complete_.back().has_mask;
  return {.complete = complete_, .open_tokens = shard_ ? shard_->tokens : 0, .has_mask = masked};
}

void ShardSequence::complete_shard() {
  shard_->flush();
  complete_file(shard_->file, data::kTokenShardMagic, shard_->tokens);
  if (shard_->mask_file) complete_file(*shard_->mask_file, data::kMaskShardMagic, shard_->tokens);
  complete_.push_back(
      {.path = shard_->file.path(),
       .tokens = shard_->tokens,
       .bytes = static_cast<std::uint64_t>(data::kShardHeaderBytes + 2 * shard_->tokens),
       .checksum = shard_->checksum.digest(),
       .has_mask = shard_->mask_file.has_value()});
  shard_.reset();
}

std::vector<data::WrittenShard> ShardSequence::finish() {
  if (shard_) complete_shard();
  return complete_;
}

}  // namespace ovid::data_tools
