#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <string_view>

#include "tests/ptx_emulator/runtime/fat_binary.h"

namespace ptx_emulator {
namespace {

constexpr std::uint32_t kDynamicSection = 6;
constexpr std::uint32_t kSectionWithoutBytes = 8;
constexpr std::uint64_t kNeededTag = 1;
constexpr std::uint64_t kRpathTag = 15;
constexpr std::uint64_t kRunpathTag = 29;
constexpr std::uint64_t kSectionHeaderBytes = 64;
// More than any program has; each costs 64 bytes of memory.
constexpr std::uint64_t kMostSections = 1U << 20;

struct Section {
  std::string name;
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t link = 0;  // index of a related section, of a dynamic one its strings
};

template <typename T>
T value_at(const std::vector<std::byte>& bytes, std::uint64_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// A zero-terminated text in a table of texts; empty where it lies outside.
std::string text_at(const std::vector<std::byte>& table, std::uint64_t offset) {
  if (offset >= table.size()) return {};
  const auto begin = table.begin() + static_cast<std::ptrdiff_t>(offset);
  const auto end = std::find(begin, table.end(), std::byte{0});
  return std::string(reinterpret_cast<const char*>(&*begin), static_cast<std::size_t>(end - begin));
}

class ElfFile {
 public:
  explicit ElfFile(const std::filesystem::path& path) : label_(path.string()) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
      throw FatBinaryError(label_ + ": no such file");
    }
    size_bytes_ = std::filesystem::file_size(path, error);
    stream_.open(path, std::ios::binary);
    if (error || !stream_) throw FatBinaryError(label_ + ": cannot be read");
    read_sections();
  }

  const std::vector<Section>& sections() const { return sections_; }

  std::vector<std::byte> read(const Section& section) {
    if (section.type == kSectionWithoutBytes) return {};
    return read(section.offset, section.size_bytes, "a section");
  }

 private:
  std::vector<std::byte> read(std::uint64_t offset, std::uint64_t num_bytes, const char* what) {
    if (offset > size_bytes_ || num_bytes > size_bytes_ - offset) {
      throw FatBinaryError(label_ + ": damaged ELF file: " + what + " of " +
                           std::to_string(num_bytes) + " bytes at byte " + std::to_string(offset) +
                           ", but the file has " + std::to_string(size_bytes_));
    }
    std::vector<std::byte> bytes(num_bytes);
    stream_.seekg(static_cast<std::streamoff>(offset));
    stream_.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(num_bytes));
    if (!stream_) throw FatBinaryError(label_ + ": cannot be read");
    return bytes;
  }

  void read_sections() {
    constexpr std::array<char, 6> kStart = {0x7F, 'E', 'L', 'F', 2, 1};
    constexpr std::uint64_t kHeaderBytes = 64;
    std::vector<std::byte> header;
    if (size_bytes_ >= kHeaderBytes) header = read(0, kHeaderBytes, "the header");
    if (header.empty() || std::memcmp(header.data(), kStart.data(), kStart.size()) != 0) {
      throw FatBinaryError(label_ + ": no ELF file of 64 bits (a program, library or object)");
    }
    const auto table = value_at<std::uint64_t>(header, 40);
    std::uint64_t num_sections = value_at<std::uint16_t>(header, 60);
    std::uint64_t names = value_at<std::uint16_t>(header, 62);
    if (table == 0) return;  // stripped of its sections
    const std::vector<std::byte> first = read(table, kSectionHeaderBytes, "a section's header");
    // Numbers that do not fit into the header stand in the first section's.
    if (num_sections == 0) num_sections = value_at<std::uint64_t>(first, 32);
    if (names == 0xFFFF) names = value_at<std::uint32_t>(first, 40);
    if (num_sections > kMostSections) {
      throw FatBinaryError(label_ + ": damaged ELF file: " + std::to_string(num_sections) +
                           " sections");
    }
    const std::vector<std::byte> headers =
        read(table, num_sections * kSectionHeaderBytes, "the section headers");
    std::vector<std::uint32_t> name_offsets;
    for (std::uint64_t i = 0; i < num_sections; ++i) {
      const std::uint64_t at = i * kSectionHeaderBytes;
      name_offsets.push_back(value_at<std::uint32_t>(headers, at));
      sections_.push_back({.name = {},
                           .type = value_at<std::uint32_t>(headers, at + 4),
                           .offset = value_at<std::uint64_t>(headers, at + 24),
                           .size_bytes = value_at<std::uint64_t>(headers, at + 32),
                           .link = value_at<std::uint32_t>(headers, at + 40)});
    }
    if (names >= sections_.size()) return;
    const std::vector<std::byte> texts = read(sections_[names]);
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      sections_[i].name = text_at(texts, name_offsets[i]).substr(0, 64);
    }
  }

  std::string label_;
  std::ifstream stream_;
  std::uint64_t size_bytes_ = 0;
  std::vector<Section> sections_;
};

void read_dynamic_section(ElfFile& file, const Section& dynamic, ElfFatBinaries& result) {
  if (dynamic.link >= file.sections().size()) return;
  const std::vector<std::byte> entries = file.read(dynamic);
  const std::vector<std::byte> texts = file.read(file.sections()[dynamic.link]);
  bool has_runpath = false;
  for (std::uint64_t at = 0; at + 16 <= entries.size(); at += 16) {
    const auto tag = value_at<std::uint64_t>(entries, at);
    if (tag == 0) break;
    const std::string text = text_at(texts, value_at<std::uint64_t>(entries, at + 8));
    if (tag == kNeededTag) result.needed.push_back(text.substr(0, 256));
    if (tag == kRpathTag) result.fixed_search_path = text.substr(0, 4096);
    has_runpath |= tag == kRunpathTag;
  }
  // The loader ignores RPATH where RUNPATH stands beside it.
  if (has_runpath) result.fixed_search_path.clear();
}

}  // namespace

ElfFatBinaries read_elf_fat_binaries(const std::filesystem::path& path) {
  ElfFile file(path);
  ElfFatBinaries result;
  for (const Section& section : file.sections()) {
    if (section.name == ".nv_fatbin" || section.name == "__nv_relfatbin") {
      const std::vector<std::byte> bytes = file.read(section);
      for (FatBinaryContainer& container :
           read_fat_binary(bytes, path.string() + ", section " + section.name)) {
        if (!container.empty()) result.containers.push_back(std::move(container));
      }
    } else if (section.type == kDynamicSection) {
      read_dynamic_section(file, section, result);
    } else if (section.name == ".rodata") {
      // The name of shared memory, a text that only the static runtime has.
      constexpr std::string_view kTrace = "/cudart.shm.";
      const std::vector<std::byte> bytes = file.read(section);
      const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      result.has_static_runtime = text.find(kTrace) != std::string_view::npos;
    }
  }
  return result;
}

}  // namespace ptx_emulator
