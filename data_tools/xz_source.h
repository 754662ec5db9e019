#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data_tools/byte_source.h"

namespace ovid::data_tools {

// The first bytes of every xz file.
inline constexpr std::string_view kXzMagic("\xFD\x37\x7A\x58\x5A\x00", 6);

// The bytes that an xz file holds, of all its streams and blocks. libarchive would take whatever
// memory their headers ask for, up to 4 GiB each; this takes at most kMostMemory.
class XzSource : public ByteSource {
 public:
  // A window of 128 MiB with what the decoder needs beside it; that of `xz -9` is 64 MiB.
  static constexpr std::uint64_t kMostMemory = 136 << 20;

  struct Damaged {
    const char* reason;
  };

  // Keeps references to both; `name` is for messages. Throws DataError in a program that was built
  // without liblzma.
  XzSource(ByteSource& source, const std::string& name);
  ~XzSource() override;
  // Throws DataError with the limit and the cure where the file wants more memory, Damaged where
  // its bytes are damaged or cut.
  std::size_t read(std::span<char> buffer) override;
  bool count_unpacked(std::uint64_t bytes) override { return source_.count_unpacked(bytes); }

  std::uint64_t bytes_in() const { return bytes_in_; }  // read from the source so far

 private:
  struct Decoder;
  ByteSource& source_;
  const std::string& name_;
  std::unique_ptr<Decoder> decoder_;
  std::uint64_t bytes_in_ = 0;
};

}  // namespace ovid::data_tools
