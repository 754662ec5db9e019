#include "tests/ptx_emulator/runtime/fat_binary.h"

#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <limits>

namespace ptx_emulator {
namespace {

constexpr std::uint32_t kWrapperMagic = 0x466243B1;
constexpr std::uint32_t kContainerMagic = 0xBA55ED50;
constexpr std::uint64_t kContainerHeaderBytes = 16;
constexpr std::uint64_t kEntryHeaderBytes = 64;
constexpr std::uint64_t kFlagLz4 = 0x2000;
constexpr std::uint64_t kFlagZstd = 0x8000;

std::string hexadecimal(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

// A window of the bytes that knows where it lies, for messages.
struct Window {
  std::span<const std::byte> bytes;
  std::uint64_t begin = 0;  // bytes from the start of the fat binary
  const std::string* label = nullptr;

  [[noreturn]] void fail(std::uint64_t offset, const std::string& message) const {
    throw FatBinaryError(*label + ": damaged fat binary at byte " + std::to_string(begin + offset) +
                         ": " + message);
  }
  // The `size` bytes from `offset` on.
  Window part(std::uint64_t offset, std::uint64_t size, const char* what) const {
    if (offset > bytes.size() || size > bytes.size() - offset) {
      fail(offset, std::string(what) + " of " + std::to_string(size) + " bytes, but only " +
                       std::to_string(offset > bytes.size() ? 0 : bytes.size() - offset) +
                       " are left");
    }
    return {.bytes = bytes.subspan(offset, size), .begin = begin + offset, .label = label};
  }
  template <typename T>
  T read(std::uint64_t offset, const char* what) const {
    T value;
    std::memcpy(&value, part(offset, sizeof(T), what).bytes.data(), sizeof(T));
    return value;
  }
};

std::string decompressed(const Window& payload, std::uint64_t flags, std::uint64_t text_bytes) {
  if (text_bytes > kMostTextBytes) {
    payload.fail(0, "PTX of " + std::to_string(text_bytes) + " bytes; the limit is " +
                        std::to_string(kMostTextBytes));
  }
  if ((flags & kFlagLz4) != 0) {
    std::optional<std::string> text = decompress_lz4(payload.bytes, text_bytes);
    if (!text) payload.fail(0, "PTX compressed with LZ4 that does not decompress");
    return *std::move(text);
  }
  // The frame says its own size: no memory is taken for a size that only the header claims.
  const unsigned long long claimed =
      ZSTD_getFrameContentSize(payload.bytes.data(), payload.bytes.size());
  if (claimed != text_bytes) {
    payload.fail(0, "PTX compressed with zstd whose size is not the " + std::to_string(text_bytes) +
                        " bytes that its header says");
  }
  // The most repetitive PTX stays far below; what expands more is made to fill memory.
  constexpr std::uint64_t kMostExpansion = 4096;
  if (text_bytes / kMostExpansion > payload.bytes.size() + 256) {
    payload.fail(0, "PTX of " + std::to_string(text_bytes) + " bytes compressed to " +
                        std::to_string(payload.bytes.size()) + "; more than " +
                        std::to_string(kMostExpansion) + "-fold is refused");
  }
  std::string text(text_bytes, '\0');
  const std::size_t size =
      ZSTD_decompress(text.data(), text.size(), payload.bytes.data(), payload.bytes.size());
  if (ZSTD_isError(size) != 0 || size != text_bytes) {
    payload.fail(0, std::string("PTX compressed with zstd that does not decompress: ") +
                        (ZSTD_isError(size) != 0 ? ZSTD_getErrorName(size) : "too short"));
  }
  return text;
}

// 'a' of ".target sm_90a"; 0 where there is none.
char suffix_of_target(std::string_view text) {
  constexpr std::string_view kTarget = ".target";
  std::size_t i = text.find(kTarget);
  if (i == std::string_view::npos) return 0;
  i += kTarget.size();
  while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
  if (text.substr(i, 3) != "sm_") return 0;
  for (i += 3; i < text.size() && text[i] >= '0' && text[i] <= '9';) ++i;
  return i < text.size() && text[i] >= 'a' && text[i] <= 'z' ? text[i] : '\0';
}

FatBinaryEntry read_entry(const Window& header, const Window& payload) {
  FatBinaryEntry entry;
  entry.kind_number = header.read<std::uint16_t>(0, "a kind");
  entry.architecture = header.read<std::uint32_t>(28, "an architecture");
  const auto minor = header.read<std::uint16_t>(24, "a version");
  const auto major = header.read<std::uint16_t>(26, "a version");
  entry.ptx_version = major * 10U + minor;
  if (entry.kind_number == 2) entry.kind = FatBinaryEntry::Kind::kElf;
  if (entry.kind_number != 1) return entry;
  entry.kind = FatBinaryEntry::Kind::kPtx;
  const auto flags = header.read<std::uint64_t>(40, "flags");
  const auto compressed_bytes = header.read<std::uint32_t>(16, "a compressed size");
  if ((flags & (kFlagLz4 | kFlagZstd)) != 0) {
    entry.text = decompressed(payload.part(0, compressed_bytes, "compressed PTX"), flags,
                              header.read<std::uint64_t>(56, "an uncompressed size"));
  } else if (compressed_bytes != 0) {
    header.fail(40, "PTX compressed in an unknown way (flags " + hexadecimal(flags) +
                        "); zstd and LZ4 are known");
  } else {
    const char* text = reinterpret_cast<const char*>(payload.bytes.data());
    entry.text.assign(text, payload.bytes.size());
  }
  if (const std::size_t end = entry.text.find('\0'); end != std::string::npos) {
    entry.text.resize(end);
  }
  entry.architecture_suffix = suffix_of_target(entry.text);
  return entry;
}

FatBinaryContainer read_container(const Window& body) {
  FatBinaryContainer container;
  std::uint64_t offset = 0;
  while (offset < body.bytes.size()) {
    const Window head = body.part(offset, kEntryHeaderBytes, "an entry's header");
    const auto header_bytes = head.read<std::uint32_t>(4, "a header's size");
    const auto payload_bytes = head.read<std::uint64_t>(8, "a payload's size");
    if (header_bytes < kEntryHeaderBytes) {
      head.fail(4, "an entry's header of " + std::to_string(header_bytes) + " bytes; it has " +
                       std::to_string(kEntryHeaderBytes) + " or more");
    }
    const Window header = body.part(offset, header_bytes, "an entry's header");
    const Window payload = body.part(offset + header_bytes, payload_bytes, "an entry's payload");
    container.push_back(read_entry(header, payload));
    offset += header_bytes + payload_bytes;
  }
  return container;
}

// Header of the container at the start of `rest`: its own bytes and those of the body.
std::pair<std::uint64_t, std::uint64_t> container_extent(const Window& rest) {
  const auto magic = rest.read<std::uint32_t>(0, "a container's header");
  if (magic != kContainerMagic) {
    rest.fail(0, "found " + hexadecimal(magic) + " where a container begins with " +
                     hexadecimal(kContainerMagic));
  }
  const auto header_bytes = rest.read<std::uint16_t>(6, "a container's header");
  if (header_bytes < kContainerHeaderBytes) {
    rest.fail(6, "a container's header of " + std::to_string(header_bytes) + " bytes");
  }
  return {header_bytes, rest.read<std::uint64_t>(8, "a container's size")};
}

std::string name_of(const FatBinaryEntry& entry) {
  const std::string architecture = std::to_string(entry.architecture);
  if (entry.kind == FatBinaryEntry::Kind::kPtx) {
    std::string name = "PTX for compute_" + architecture;
    if (entry.architecture_suffix != 0) name += entry.architecture_suffix;
    return name;
  }
  if (entry.kind == FatBinaryEntry::Kind::kElf) return "machine code for sm_" + architecture;
  return "an entry of kind " + std::to_string(entry.kind_number) + " for " + architecture;
}

}  // namespace

std::vector<FatBinaryContainer> read_fat_binary(std::span<const std::byte> bytes,
                                                const std::string& label) {
  const Window all{.bytes = bytes, .begin = 0, .label = &label};
  std::vector<FatBinaryContainer> containers;
  std::uint64_t offset = 0;
  while (offset < bytes.size()) {
    // Zeros pad containers.
    if (bytes[offset] == std::byte{0}) {
      ++offset;
      continue;
    }
    const Window rest = all.part(offset, bytes.size() - offset, "a container");
    const auto [header_bytes, body_bytes] = container_extent(rest);
    containers.push_back(read_container(rest.part(header_bytes, body_bytes, "a container")));
    offset += header_bytes + body_bytes;
  }
  return containers;
}

std::vector<FatBinaryContainer> read_registered_fat_binary(const void* wrapper,
                                                           const std::string& label) {
  struct Wrapper {
    std::uint32_t magic;
    std::uint32_t version;
    const std::byte* data;
    const std::byte* const* extra;
  } head{};
  if (wrapper == nullptr) throw FatBinaryError(label + ": a fat binary at address 0");
  std::memcpy(&head, wrapper, sizeof head);
  if (head.magic != kWrapperMagic) {
    throw FatBinaryError(label + ": found " + hexadecimal(head.magic) +
                         " where a fat binary's wrapper begins with " + hexadecimal(kWrapperMagic));
  }
  std::vector<const std::byte*> origins;
  if (head.version != 2 || head.extra == nullptr) {
    if (head.data != nullptr) origins.push_back(head.data);
  } else {
    for (const std::byte* const* unit = head.extra; *unit != nullptr; ++unit) {
      origins.push_back(*unit);
    }
  }
  std::vector<FatBinaryContainer> result;
  for (const std::byte* origin : origins) {
    const Window header{.bytes = {origin, kContainerHeaderBytes}, .begin = 0, .label = &label};
    const auto [header_bytes, body_bytes] = container_extent(header);
    if (body_bytes > std::uint64_t{std::numeric_limits<std::int64_t>::max()} - header_bytes) {
      header.fail(8, "a container of " + std::to_string(body_bytes) + " bytes");
    }
    for (FatBinaryContainer& container :
         read_fat_binary({origin, header_bytes + body_bytes}, label)) {
      result.push_back(std::move(container));
    }
  }
  return result;
}

std::vector<const FatBinaryEntry*> choose_ptx(const std::vector<FatBinaryContainer>& containers,
                                              std::uint32_t architecture, const std::string& label,
                                              std::string* left_out) {
  std::vector<const FatBinaryEntry*> chosen;
  std::string missing;
  for (const FatBinaryContainer& container : containers) {
    if (container.empty()) continue;
    const FatBinaryEntry* best = nullptr;
    const auto rank = [](const FatBinaryEntry& entry) {
      return entry.architecture * 2 + (entry.architecture_suffix != 0 ? 1 : 0);
    };
    std::string found;
    for (const FatBinaryEntry& entry : container) {
      found += (found.empty() ? "" : ", ") + name_of(entry);
      if (entry.kind != FatBinaryEntry::Kind::kPtx || entry.architecture > architecture) continue;
      if (entry.architecture_suffix != 0 && entry.architecture != architecture) continue;
      if (best == nullptr || rank(entry) > rank(*best)) best = &entry;
    }
    if (best != nullptr) {
      chosen.push_back(best);
    } else {
      missing += (missing.empty() ? "" : "; ") + found;
    }
  }
  if (chosen.empty() && !missing.empty()) {
    const std::string number = std::to_string(architecture);
    throw FatBinaryError(
        label + ": no PTX that a device of sm_" + number + " runs; the fat binary holds " +
        missing + ". Compile with -gencode arch=compute_" + number + ",code=compute_" + number +
        ", or play another device: PTX_EMULATOR_DEVICE=a100 (sm_80) or h100 "
        "(sm_90)");
  }
  if (left_out != nullptr) *left_out = std::move(missing);
  return chosen;
}

}  // namespace ptx_emulator
