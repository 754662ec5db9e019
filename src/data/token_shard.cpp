#include "src/data/token_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "src/core/error.h"

namespace ovid::data {
namespace {

static_assert(std::endian::native == std::endian::little,
              "shards are little-endian and are mapped, not converted");

struct Header {
  std::int32_t magic;
  std::int32_t version;
  std::int32_t count;
};

Header header_of(std::span<const std::byte> bytes) {
  Header header{};
  std::memcpy(&header, bytes.data(), std::min(sizeof header, bytes.size()));
  return header;
}

// Other binary files of the llm.c family, and what a wrong path points at most often. Read as
// headerless tokens they would train without a complaint.
const char* what_else_it_is(std::span<const std::byte> bytes) {
  switch (header_of(bytes).magic) {
    case 20240326:
      return "an llm.c model";
    case 20240327:
      return "an llm.c debug state";
    case 20240328:
      return "an llm.c tokenizer";
    case kMaskShardMagic:
      return "a loss mask, not the tokens";
    case 20240522:
      return "an llm.c evaluation file";
    case 20240527:
      return "an llm.c training state";
    case 20240801:
      return "a Llama 3 shard with 32-bit tokens";
    default:
      break;
  }
  const auto starts_with = [&](std::string_view magic) {
    return bytes.size() >= magic.size() &&
           std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
  };
  if (starts_with("\x93NUMPY")) return "a NumPy file (use tofile, not save)";
  if (starts_with("PK\x03\x04")) return "a zip archive";
  if (starts_with("\x1f\x8b")) return "gzip-compressed";
  const auto head = bytes.first(std::min<std::size_t>(bytes.size(), 1024));
  const auto is_text = [](std::byte b) {
    const auto c = std::to_integer<unsigned char>(b);
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
  };
  constexpr std::size_t kTooShortToTell = 64;
  if (head.size() >= kTooShortToTell && std::all_of(head.begin(), head.end(), is_text)) {
    return "plain text (make shards of it with ovid-data text)";
  }
  return nullptr;
}

// The body of a file whose header carries `magic`, after the checks of version, count and size.
std::span<const std::byte> checked_body(const MappedFile& file, std::int64_t bytes_per_token) {
  const std::span<const std::byte> bytes = file.bytes();
  const std::string name = file.path().string();
  if (bytes.size() < static_cast<std::size_t>(kShardHeaderBytes)) {
    throw DataError(
        fmt::format("{} is cut: {} bytes, less than its header of {}; copy or make it again", name,
                    bytes.size(), kShardHeaderBytes));
  }
  const Header header = header_of(bytes);
  if (header.version != kShardVersion) {
    throw DataError(
        fmt::format("{} has format version {}, and {} is the one that can be read; "
                    "make it again with ovid-data",
                    name, header.version, kShardVersion));
  }
  if (header.count < 0) {
    throw DataError(
        fmt::format("{} says that it holds {} tokens; make it again", name, header.count));
  }
  const std::int64_t expected = kShardHeaderBytes + bytes_per_token * header.count;
  if (static_cast<std::int64_t>(bytes.size()) != expected) {
    throw DataError(
        fmt::format("{} is {} bytes, but its header promises {} tokens in {} bytes; "
                    "copy or make it again",
                    name, bytes.size(), header.count, expected));
  }
  return bytes.subspan(static_cast<std::size_t>(kShardHeaderBytes));
}

bool is_damaged_shard(std::span<const std::byte> bytes) {
  const Header header = header_of(bytes);
  return bytes.size() >= static_cast<std::size_t>(kShardHeaderBytes) &&
         header.version == kShardVersion && header.count > 0 &&
         static_cast<std::int64_t>(bytes.size()) == kShardHeaderBytes + 2ll * header.count;
}

std::span<const std::uint16_t> as_tokens(std::span<const std::byte> body) {
  return {reinterpret_cast<const std::uint16_t*>(body.data()), body.size() / 2};
}

std::span<const std::byte> headerless_body(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  const std::string name = file.path().string();
  const auto refuse = [&](const std::string& reason) {
    throw DataError(fmt::format("{} is not a token shard: {}", name, reason));
  };
  if (bytes.empty()) refuse("it is empty; make it again with ovid-data text");
  if (const char* other = what_else_it_is(bytes)) refuse(fmt::format("it is {}", other));
  if (is_damaged_shard(bytes)) {
    refuse(fmt::format("its magic is {} instead of {}; copy or make it again",
                       header_of(bytes).magic, kTokenShardMagic));
  }
  if (file.path().extension() != ".bin") {
    refuse(fmt::format("it lacks the magic {}, and only names that end in .bin are read without",
                       kTokenShardMagic));
  }
  if (bytes.size() % 2 != 0) {
    refuse(fmt::format("it lacks the magic {}, and its {} bytes are no whole number of uint16",
                       kTokenShardMagic, bytes.size()));
  }
  return bytes;
}

std::filesystem::file_time_type modification_time(const Path& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) throw DataError(fmt::format("cannot read {}: {}", path.string(), error.message()));
  return time;
}

}  // namespace

TokenShard TokenShard::open(const Path& path) {
  const auto modified = modification_time(path);
  TokenShard shard{MappedFile(path)};
  shard.modified_ = modified;
  const std::span<const std::byte> bytes = shard.file_.bytes();
  shard.has_header_ = bytes.size() >= 4 && header_of(bytes).magic == kTokenShardMagic;
  shard.tokens_ =
      as_tokens(shard.has_header_ ? checked_body(shard.file_, 2) : headerless_body(shard.file_));

  const Path mask_path = mask_path_of(path);
  std::error_code error;
  if (mask_path == path || !std::filesystem::exists(mask_path, error)) return shard;
  shard.mask_file_.emplace(mask_path);
  const std::span<const std::byte> mask_bytes = shard.mask_file_->bytes();
  if (mask_bytes.size() < 4 || header_of(mask_bytes).magic != kMaskShardMagic) {
    throw DataError(
        fmt::format("{} is not a loss mask: its magic is not {}; make it again, or "
                    "remove it to count every token",
                    mask_path.string(), kMaskShardMagic));
  }
  const std::size_t mask_tokens = checked_body(*shard.mask_file_, 1).size();
  if (mask_tokens != shard.tokens_.size()) {
    throw DataError(fmt::format("{} masks {} tokens, but {} holds {}; make both again",
                                mask_path.string(), mask_tokens, path.string(),
                                shard.tokens_.size()));
  }
  return shard;
}

std::optional<std::span<const std::uint8_t>> TokenShard::mask() const {
  if (!mask_file_) return std::nullopt;
  const auto body = mask_file_->bytes().subspan(static_cast<std::size_t>(kShardHeaderBytes));
  return std::span(reinterpret_cast<const std::uint8_t*>(body.data()), body.size());
}

void TokenShard::forget(std::size_t first, std::size_t count) const {
  // The system maps a fault's neighbours along with it, up to this far.
  constexpr std::size_t kAround = std::size_t{1} << 16;
  const auto forget_around = [&](std::span<const std::byte> file, const void* from,
                                 std::size_t bytes) {
    const auto at = static_cast<std::size_t>(static_cast<const std::byte*>(from) - file.data());
    const std::size_t begin = at / kAround * kAround;
    const std::size_t end = std::min((at + bytes + kAround - 1) / kAround * kAround, file.size());
    forget_mapped(file.subspan(begin, end - begin));
  };
  if (count == 0) return;
  forget_around(file_.bytes(), tokens_.data() + first, count * sizeof(std::uint16_t));
  if (mask_file_) forget_around(mask_file_->bytes(), mask()->data() + first, count);
}

void TokenShard::check_unchanged() const {
  const auto check_size = [](const MappedFile& file) {
    const std::uint64_t now = size_of_file(file.path());
    if (now == file.bytes().size()) return;
    throw DataError(fmt::format("{} changed while it was in use: from {} to {} bytes; start again",
                                file.path().string(), file.bytes().size(), now));
  };
  check_size(file_);
  if (mask_file_) check_size(*mask_file_);
  if (modification_time(file_.path()) != modified_) {
    throw DataError(
        fmt::format("{} was rewritten while it was in use; start again", file_.path().string()));
  }
}

Path mask_path_of(const Path& shard) {
  return Path(shard).replace_extension(".mask");
}

void check_vocabulary(const TokenShard& shard, std::int64_t vocabulary_size) {
  if (vocabulary_size >= kMaxVocabularySize) return;
  shard.check_unchanged();
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  for (std::size_t first = 0; first < shard.tokens().size(); first += kPiece) {
    const std::size_t count = std::min(kPiece, shard.tokens().size() - first);
    check_vocabulary(shard, vocabulary_size, first, count);
    shard.forget(first, count);
  }
}

void check_vocabulary(const TokenShard& shard, std::int64_t vocabulary_size, std::size_t first,
                      std::size_t count) {
  if (vocabulary_size >= kMaxVocabularySize) return;
  const std::span<const std::uint16_t> tokens = shard.tokens().subspan(first, count);
  // Blocks of a constant length become SIMD code; only a block that holds a bad token is searched
  // for it.
  constexpr std::size_t kBlock = 4096;
  for (std::size_t begin = 0; begin < tokens.size(); begin += kBlock) {
    const auto block = tokens.subspan(begin, std::min(kBlock, tokens.size() - begin));
    std::uint16_t largest = 0;
    if (block.size() == kBlock) {
      const std::uint16_t* data = block.data();
      for (std::size_t i = 0; i < kBlock; ++i) largest = std::max(largest, data[i]);
    } else {
      largest = *std::max_element(block.begin(), block.end());
    }
    if (largest < vocabulary_size) continue;
    const auto bad = std::find_if(block.begin(), block.end(),
                                  [&](std::uint16_t token) { return token >= vocabulary_size; });
    throw DataError(
        fmt::format("token {} at index {} of {} is outside the vocabulary of {}; "
                    "encode the texts with the model's tokenizer",
                    *bad, first + begin + static_cast<std::size_t>(bad - block.begin()),
                    shard.path().string(), vocabulary_size));
  }
}

}  // namespace ovid::data
