#include "src/checkpoint/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/checkpoint/json_text.h"
#include "src/core/checked_arithmetic.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors files are mapped as they are");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxRank = 32;

struct StoredDType {
  std::string_view name;
  unsigned bits;
};

constexpr std::array kStoredDTypes = {
    StoredDType{"BOOL", 8},        StoredDType{"U8", 8},      StoredDType{"I8", 8},
    StoredDType{"U16", 16},        StoredDType{"I16", 16},    StoredDType{"U32", 32},
    StoredDType{"I32", 32},        StoredDType{"U64", 64},    StoredDType{"I64", 64},
    StoredDType{"F16", 16},        StoredDType{"BF16", 16},   StoredDType{"F32", 32},
    StoredDType{"F64", 64},        StoredDType{"C64", 64},    StoredDType{"F8_E4M3", 8},
    StoredDType{"F8_E5M2", 8},     StoredDType{"F8_E8M0", 8}, StoredDType{"F8_E4M3FNUZ", 8},
    StoredDType{"F8_E5M2FNUZ", 8}, StoredDType{"F6_E2M3", 6}, StoredDType{"F6_E3M2", 6},
    StoredDType{"F4", 4},
};

// The name of a tensor in an error: hostile names may be long.
std::string shown_name(const std::string& name) {
  constexpr std::size_t kShown = 120;
  return name.size() <= kShown ? "'" + name + "'" : "'" + name.substr(0, kShown) + "...'";
}

struct Entry {
  const StoredDType* dtype = nullptr;
  std::vector<std::int64_t> shape;
  std::vector<std::uint64_t> offsets;
  bool has_shape = false;
  bool has_offsets = false;
};

// Reads the header as events, so that nothing that the format does not allow is ever stored: a deep
// or odd document is refused at its first wrong token.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::map<std::string, Entry, std::less<>> entries;
  std::map<std::string, std::string> metadata;
  std::string error;

  bool null() override { return fail("null where the format has none"); }
  bool boolean(bool) override { return fail("a truth value where the format has none"); }
  bool number_integer(number_integer_t value) override {
    return fail(fmt::format("the negative number {}", value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return fail(fmt::format("the extent {} is larger than 2^63 - 1", value));
      }
      if (entry_->shape.size() == kMaxRank)
        return fail(fmt::format("more than {} extents", kMaxRank));
      entry_->shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (entry_->offsets.size() == 2) return fail("more than two data_offsets");
      entry_->offsets.push_back(value);
      return true;
    }
    return fail(fmt::format("the number {} at the wrong place", value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return fail(fmt::format("{} is not a whole number below 2^64", text.substr(0, 40)));
  }
  bool binary(binary_t&) override { return fail("binary data"); }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadataValue) {
      metadata[key_] = value;
      place_ = Place::kMetadata;
      return true;
    }
    if (place_ != Place::kDType) return fail("a string at the wrong place");
    const auto* found = std::find_if(kStoredDTypes.begin(), kStoredDTypes.end(),
                                     [&](const StoredDType& dtype) { return dtype.name == value; });
    if (found == kStoredDTypes.end())
      return fail(fmt::format("unknown dtype '{}'", value.substr(0, 40)));
    entry_->dtype = found;
    place_ = Place::kEntry;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) return move_to(Place::kFile);
    if (place_ == Place::kMetadataStart) return move_to(Place::kMetadata);
    if (place_ == Place::kEntryStart) return move_to(Place::kEntry);
    return fail("an object at the wrong place");
  }
  bool end_object() override {
    if (place_ == Place::kFile) return move_to(Place::kOutside);
    if (place_ == Place::kMetadata) return move_to(Place::kFile);
    if (place_ != Place::kEntry) return fail("an object that ends too early");
    if (entry_->dtype == nullptr || !entry_->has_shape || entry_->offsets.size() != 2) {
      return fail("dtype, shape and two data_offsets are required");
    }
    return move_to(Place::kFile);
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::kShapeStart) return move_to(Place::kShape);
    if (place_ == Place::kOffsetsStart) return move_to(Place::kOffsets);
    return fail("an array at the wrong place");
  }
  bool end_array() override { return move_to(Place::kEntry); }

  bool key(string_t& name) override {
    if (place_ == Place::kFile) return start_entry(name);
    if (place_ == Place::kMetadata) {
      key_ = name;
      if (metadata.count(name) > 0)
        return fail(fmt::format("metadata key {} twice", shown_name(name)));
      return move_to(Place::kMetadataValue);
    }
    if (name == "dtype" && entry_->dtype == nullptr) return move_to(Place::kDType);
    if (name == "shape" && !std::exchange(entry_->has_shape, true))
      return move_to(Place::kShapeStart);
    if (name == "data_offsets" && !std::exchange(entry_->has_offsets, true)) {
      return move_to(Place::kOffsetsStart);
    }
    return fail(fmt::format("key {} twice or unknown", shown_name(name)));
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& exception) override {
    // The library's text may repeat a long piece of a hostile file.
    error = fmt::format("broken JSON at byte {}: {}", position,
                        std::string(exception.what()).substr(0, 200));
    return false;
  }

 private:
  enum class Place {
    kOutside,
    kFile,
    kMetadataStart,
    kMetadata,
    kMetadataValue,
    kEntryStart,
    kEntry,
    kDType,
    kShapeStart,
    kShape,
    kOffsetsStart,
    kOffsets
  };

  bool start_entry(const std::string& name) {
    tensor_ = name;
    if (name == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return fail("key twice");
      return move_to(Place::kMetadataStart);
    }
    if (printable(name) != name) return fail("control characters in the name");
    const auto [position, inserted] = entries.try_emplace(name);
    entry_ = &position->second;
    if (!inserted) return fail("the tensor is there twice");
    return move_to(Place::kEntryStart);
  }
  bool move_to(Place place) {
    place_ = place;
    return true;
  }
  bool fail(const std::string& reason) {
    error = tensor_.empty() ? reason : shown_name(tensor_) + ": " + reason;
    return false;
  }

  Place place_ = Place::kOutside;
  Entry* entry_ = nullptr;
  std::string tensor_;
  std::string key_;
  bool has_metadata_ = false;
};

[[noreturn]] void refuse(const Path& path, const std::string& reason) {
  throw CheckpointError(
      fmt::format("{} is not a valid safetensors file: {}; fetch or write the file again",
                  path.string(), printable(reason)));
}

// Bytes of dtype x shape, or a reason why there is no such number.
std::uint64_t checked_bytes(const std::string& name, const Entry& entry, const Path& path) {
  std::optional<std::uint64_t> bits = entry.dtype->bits;
  for (const std::int64_t extent : entry.shape) {
    bits = checked_multiply(*bits, static_cast<std::uint64_t>(extent));
    if (!bits) {
      refuse(path, fmt::format("{}: shape {} overflows 64 bits", shown_name(name),
                               shape_text(entry.shape)));
    }
  }
  if (*bits % 8 != 0) {
    refuse(path, fmt::format("{}: {} bits are no whole number of bytes", shown_name(name), *bits));
  }
  return *bits / 8;
}

// Offsets must tile the data: sorted, each begins where the one before ended.
void check_tiling(const std::map<std::string, Entry, std::less<>>& entries,
                  std::uint64_t data_bytes, const Path& path) {
  struct Range {
    std::uint64_t begin, end;
    const std::string* name;
  };
  std::vector<Range> ranges;
  ranges.reserve(entries.size());
  for (const auto& [name, entry] : entries) {
    const std::uint64_t begin = entry.offsets[0], end = entry.offsets[1];
    if (begin > end || end > data_bytes) {
      refuse(path, fmt::format("{}: data_offsets [{}, {}] do not fit in {} bytes of data",
                               shown_name(name), begin, end, data_bytes));
    }
    const std::uint64_t bytes = checked_bytes(name, entry, path);
    if (bytes != end - begin) {
      refuse(path, fmt::format("{}: {} x {} takes {} bytes, data_offsets [{}, {}] hold {}",
                               shown_name(name), entry.dtype->name, shape_text(entry.shape), bytes,
                               begin, end, end - begin));
    }
    ranges.push_back({begin, end, &name});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin != covered) {
      refuse(path, fmt::format("{} begins at {}, {} the end of the tensor before it at {}",
                               shown_name(*range.name), range.begin,
                               range.begin < covered ? "inside, before" : "beyond", covered));
    }
    covered = range.end;
  }
  if (covered != data_bytes) {
    refuse(path, fmt::format("its tensors end at {} of {} bytes of data", covered, data_bytes));
  }
}

}  // namespace

SafetensorsContent parse_safetensors(std::span<const std::byte> file, const Path& path) {
  std::uint64_t header_bytes = 0;
  if (file.size() < sizeof header_bytes) {
    refuse(path, fmt::format("{} bytes are too few for a header", file.size()));
  }
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  const std::span<const std::byte> rest = file.subspan(sizeof header_bytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > rest.size()) {
    refuse(path, fmt::format(
                     "its header of {} bytes is longer than the file ({} bytes) or the limit of {}",
                     header_bytes, file.size(), kMaxHeaderBytes));
  }
  const std::span<const std::byte> header = rest.first(header_bytes),
                                   data = rest.subspan(header_bytes);
  if (header.empty() || header[0] != std::byte{'{'})
    refuse(path, "its header does not begin with '{'");
  // The JSON library takes a zero byte for the end of its input and would not see what follows.
  if (std::memchr(header.data(), 0, header.size()) != nullptr)
    refuse(path, "a zero byte in its header");

  HeaderReader reader;
  const char* text = reinterpret_cast<const char*>(header.data());
  if (!nlohmann::json::sax_parse(text, text + header.size(), &reader)) refuse(path, reader.error);
  check_tiling(reader.entries, data.size(), path);

  SafetensorsContent content;
  content.metadata = std::move(reader.metadata);
  while (!reader.entries.empty()) {
    auto node = reader.entries.extract(reader.entries.begin());
    Entry& entry = node.mapped();
    content.tensors.emplace(
        std::move(node.key()),
        StoredTensor{entry.dtype->name, std::move(entry.shape),
                     data.subspan(entry.offsets[0], entry.offsets[1] - entry.offsets[0])});
  }
  return content;
}

}  // namespace ovid::checkpoint
