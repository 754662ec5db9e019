// Fat binaries made here byte by byte: every form is read, every damage is refused.

#include "tests/ptx_emulator/runtime/fat_binary.h"

#include <zstd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "tests/catch.h"
#include "tests/test_files.h"

namespace ptx_emulator {
namespace {

const std::string kText = ".version 9.0\n.target sm_80\n.address_size 64\n";

template <typename T>
void put(std::string& bytes, std::size_t offset, T value) {
  if (bytes.size() < offset + sizeof(T)) bytes.resize(offset + sizeof(T));
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

struct EntryForm {
  std::uint16_t kind = 1;
  std::uint32_t architecture = 80;
  std::string payload = kText;
  std::uint32_t compressed_bytes = 0;
  std::uint64_t flags = 0;
  std::uint64_t text_bytes = 0;
};

std::string entry(const EntryForm& form) {
  std::string bytes(72, '\0');  // longer than the least header: names lie there
  put<std::uint16_t>(bytes, 0, form.kind);
  put<std::uint32_t>(bytes, 4, 72);
  const std::uint64_t padded = (form.payload.size() + 7) / 8 * 8;
  put<std::uint64_t>(bytes, 8, padded);
  put<std::uint32_t>(bytes, 16, form.compressed_bytes);
  put<std::uint16_t>(bytes, 26, 9);
  put<std::uint32_t>(bytes, 28, form.architecture);
  put<std::uint64_t>(bytes, 40, form.flags);
  put<std::uint64_t>(bytes, 56, form.text_bytes);
  bytes += form.payload;
  bytes.resize(72 + padded);
  return bytes;
}

std::string container(const std::string& entries) {
  std::string bytes(16, '\0');
  put<std::uint32_t>(bytes, 0, 0xBA55ED50);
  put<std::uint16_t>(bytes, 4, 1);
  put<std::uint16_t>(bytes, 6, 16);
  put<std::uint64_t>(bytes, 8, entries.size());
  return bytes + entries;
}

EntryForm zstd(const std::string& text) {
  std::string compressed(ZSTD_compressBound(text.size()), '\0');
  compressed.resize(
      ZSTD_compress(compressed.data(), compressed.size(), text.data(), text.size(), 3));
  return {.payload = compressed,
          .compressed_bytes = static_cast<std::uint32_t>(compressed.size()),
          .flags = 0x8000,
          .text_bytes = text.size()};
}

std::vector<FatBinaryContainer> read(const std::string& bytes) {
  return read_fat_binary(std::as_bytes(std::span(bytes)), "test");
}

EntryForm ptx(std::uint32_t architecture, const std::string& suffix = "") {
  return {.architecture = architecture,
          .payload = ".version 9.0\n.target sm_" + std::to_string(architecture) + suffix + "\n"};
}

}  // namespace

TEST_CASE("PTX is read plain, compressed with zstd and compressed with LZ4") {
  const std::string long_text = kText + std::string(3000, '/') + "\n";
  // LZ4: the head as literals, then one slash repeated, then the line end as the last literals.
  std::string lz4;
  lz4 += static_cast<char>(0xFF);
  lz4 += static_cast<char>(kText.size() + 1 - 15);
  lz4 += kText + "/";
  lz4 += std::string("\x01\x00", 2);
  std::size_t rest = 2999 - 4 - 15;
  for (; rest >= 255; rest -= 255) lz4 += static_cast<char>(0xFF);
  lz4 += static_cast<char>(rest);
  lz4 += "\x10\n";
  const EntryForm lz4_form{.payload = lz4,
                           .compressed_bytes = static_cast<std::uint32_t>(lz4.size()),
                           .flags = 0x2000,
                           .text_bytes = long_text.size()};
  const auto containers =
      read(container(entry({.payload = long_text}) + entry(zstd(long_text)) + entry(lz4_form)) +
           std::string(24, '\0') + container(""));
  REQUIRE(containers.size() == 2);
  REQUIRE(containers[0].size() == 3);
  CHECK(containers[1].empty());
  for (const FatBinaryEntry& read_back : containers[0]) {
    CHECK(read_back.text == long_text);
    CHECK(read_back.architecture == 80);
    CHECK(read_back.ptx_version == 90);
  }
}

TEST_CASE("the newest PTX that the device runs is chosen") {
  const auto containers = read(container(entry(ptx(70)) + entry(ptx(80)) + entry(ptx(90)) +
                                         entry(ptx(90, "a")) + entry(ptx(100))));
  const auto chosen = [&](std::uint32_t architecture) {
    const FatBinaryEntry* best = choose_ptx(containers, architecture, "test").at(0);
    return std::to_string(best->architecture) +
           (best->architecture_suffix != 0 ? std::string(1, best->architecture_suffix) : "");
  };
  CHECK(chosen(75) == "70");
  CHECK(chosen(80) == "80");
  CHECK(chosen(89) == "80");
  CHECK(chosen(90) == "90a");
  CHECK(chosen(95) == "90");
  CHECK(chosen(120) == "100");
}

TEST_CASE("a program without PTX for the device is refused with what it holds and the cure") {
  const auto containers = read(container(
      entry({.kind = 2, .architecture = 80, .payload = "machine code"}) + entry(ptx(90, "a"))));
  CHECK_THROWS_WITH(choose_ptx(containers, 80, "prog"),
                    Catch::Matchers::Contains("machine code for sm_80, PTX for compute_90a") &&
                        Catch::Matchers::Contains("-gencode arch=compute_80,code=compute_80"));
  // Beside a unit that has PTX, one with machine code only is left out: the device library.
  std::string left_out;
  const auto both = read(container(entry(ptx(80))) +
                         container(entry({.kind = 2, .architecture = 80, .payload = "code"})));
  CHECK(choose_ptx(both, 80, "prog", &left_out).size() == 1);
  CHECK(left_out == "machine code for sm_80");
  CHECK(choose_ptx(read(container("")), 80, "prog").empty());
}

TEST_CASE("damaged fat binaries are refused by name") {
  const auto fails = [](const std::string& bytes, const std::string& message) {
    CHECK_THROWS_WITH(read(bytes), Catch::Matchers::Contains(message));
  };
  fails("nothing of the kind", "where a container begins");
  fails(container(entry({})).substr(0, 100), "damaged fat binary");
  EntryForm form = zstd(kText);
  form.text_bytes += 1;
  fails(container(entry(form)), "whose size is not");
  form = zstd(kText);
  form.text_bytes = std::uint64_t{1} << 40;
  fails(container(entry(form)), "the limit is 1073741824");
  form = zstd(kText);
  form.payload[0] ^= 0x55;
  fails(container(entry(form)), "zstd");
  form = zstd(kText);
  form.compressed_bytes = 100000;
  fails(container(entry(form)), "compressed PTX of 100000 bytes");
  form = zstd(kText);
  form.flags = 0x4000;
  fails(container(entry(form)), "compressed in an unknown way (flags 0x4000)");
  fails(container(
            entry({.payload = "\x10", .compressed_bytes = 1, .flags = 0x2000, .text_bytes = 9})),
        "LZ4");
  std::string short_header = entry({});
  put<std::uint32_t>(short_header, 4, 0);
  fails(container(short_header), "an entry's header of 0 bytes");
  std::string endless = entry({});
  put<std::uint64_t>(endless, 8, ~std::uint64_t{0} - 71);
  fails(container(endless), "an entry's payload");
}

TEST_CASE("no single wrong byte makes the reader do worse than refuse") {
  const std::string good = container(entry(zstd(kText)) + entry({.kind = 2, .payload = "code"}));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string bytes = good;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      try {
        read(bytes);
      } catch (const FatBinaryError&) {
      }
    }
    try {
      read(good.substr(0, i));
    } catch (const FatBinaryError&) {
    }
  }
  CHECK(read(good).at(0).size() == 2);
}

TEST_CASE("an LZ4 block must yield exactly the bytes that are expected") {
  const auto decompressed = [](const std::string& block, std::uint64_t size) {
    return decompress_lz4(std::as_bytes(std::span(block)), size);
  };
  CHECK(decompressed("\x30"
                     "abc",
                     3) == "abc");
  CHECK(decompressed(std::string("\x31"
                                 "abc\x03\x00\x00",
                                 7),
                     8) == "abcabcab");
  CHECK_FALSE(
      decompressed("\x30"
                   "abc",
                   4));
  CHECK_FALSE(
      decompressed("\x30"
                   "abc",
                   2));
  CHECK_FALSE(
      decompressed("\x40"
                   "abc",
                   4));
  CHECK_FALSE(decompressed(std::string("\x31"
                                       "abc\x04\x00\x00",
                                       7),
                           8));
  CHECK_FALSE(decompressed(std::string("\x31"
                                       "abc\x00\x00\x00",
                                       7),
                           8));
  CHECK_FALSE(decompressed(std::string("\x31"
                                       "abc\x01",
                                       5),
                           8));
  CHECK_FALSE(decompressed("\xF0", 1000));
  CHECK_FALSE(decompressed("", std::uint64_t{1} << 60));
}

TEST_CASE("the wrapper that a program registers leads to its containers") {
  struct Wrapper {
    std::uint32_t magic = 0x466243B1;
    std::uint32_t version = 1;
    const void* data = nullptr;
    const void* extra = nullptr;
  } wrapper;
  const std::string one = container(entry(ptx(80)));
  const std::string two = container(entry(ptx(80)));
  wrapper.data = one.data();
  CHECK(read_registered_fat_binary(&wrapper, "test").size() == 1);
  // Relocatable device code: the units count, not what the device linker made of them.
  const std::string linked = container(entry({.kind = 2, .payload = "code"}));
  const void* units[] = {one.data(), two.data(), nullptr};
  wrapper = {.version = 2, .data = linked.data(), .extra = units};
  const auto containers = read_registered_fat_binary(&wrapper, "test");
  REQUIRE(containers.size() == 2);
  CHECK(containers[0].at(0).kind == FatBinaryEntry::Kind::kPtx);
  wrapper.magic = 7;
  CHECK_THROWS_WITH(read_registered_fat_binary(&wrapper, "test"),
                    Catch::Matchers::Contains("found 0x7"));
  CHECK_THROWS_AS(read_registered_fat_binary(nullptr, "test"), FatBinaryError);
}

TEST_CASE("fat binaries are found in the sections of an ELF file") {
  const std::string names("\0.nv_fatbin\0.shstrtab\0", 22);
  const std::string fat = container(entry(zstd(kText)));
  std::string elf(
      "\x7F"
      "ELF\x02\x01",
      6);
  elf.resize(64);
  const std::uint64_t names_at = elf.size();
  elf += names;
  const std::uint64_t fat_at = elf.size();
  elf += fat;
  const std::uint64_t table = elf.size();
  put<std::uint64_t>(elf, 40, table);
  put<std::uint16_t>(elf, 60, 3);
  put<std::uint16_t>(elf, 62, 2);
  put<std::uint64_t>(elf, table + 3 * 64 - 8, 0);
  const auto section = [&](std::uint64_t i, std::uint32_t name, std::uint64_t offset,
                           std::uint64_t size) {
    put<std::uint32_t>(elf, table + i * 64, name);
    put<std::uint32_t>(elf, table + i * 64 + 4, 1);
    put<std::uint64_t>(elf, table + i * 64 + 24, offset);
    put<std::uint64_t>(elf, table + i * 64 + 32, size);
  };
  section(1, 1, fat_at, fat.size());
  section(2, 12, names_at, names.size());
  const ovid::test::TemporaryDirectory folder;
  const auto write = [&](const std::string& bytes) {
    std::ofstream(folder / "program", std::ios::binary) << bytes;
    return folder / "program";
  };
  const ElfFatBinaries found = read_elf_fat_binaries(write(elf));
  REQUIRE(found.containers.size() == 1);
  CHECK(found.containers[0].at(0).text == kText);
  CHECK_FALSE(found.has_static_runtime);

  CHECK_THROWS_AS(read_elf_fat_binaries(folder / "absent"), FatBinaryError);
  CHECK_THROWS_WITH(read_elf_fat_binaries(write("text")), Catch::Matchers::Contains("no ELF file"));
  for (std::size_t i = 0; i < 64; ++i) {
    std::string bytes = elf;
    bytes[i] = static_cast<char>(~bytes[i]);
    try {
      read_elf_fat_binaries(write(bytes));
    } catch (const FatBinaryError&) {
    }
  }
  section(1, 1, fat_at, std::uint64_t{1} << 50);
  CHECK_THROWS_WITH(read_elf_fat_binaries(write(elf)),
                    Catch::Matchers::Contains("damaged ELF file"));
}

}  // namespace ptx_emulator
