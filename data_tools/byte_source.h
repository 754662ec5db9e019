#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/core/file.h"

namespace ovid::data_tools {

// Bytes that are read once, from front to back: a file, standard input, a member of an archive.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the front of `buffer` and returns how many bytes; 0 only at the end. Throws DataError or
  // ResourceError.
  virtual std::size_t read(std::span<char> buffer) = 0;
  // Told how many bytes were unpacked from an archive that this source carries. Returns whether the
  // source is a member of an archive itself, which then counts them; else the caller does.
  virtual bool count_unpacked(std::uint64_t) { return false; }
};

// A file, pipe or device by its path, or standard input for "-". The core's MappedFile cannot read
// a pipe. What is read is also added to `counter`, where one is given: it outlives the source. A
// read ends with Interrupted (interruption.h) at a signal, also where it waits for a pipe, unless
// the source is to be read to its end all the same.
class FileSource : public ByteSource {
 public:
  enum class AtSignal { kInterrupt, kReadOn };
  explicit FileSource(const std::string& path, std::atomic<std::uint64_t>* counter = nullptr,
                      AtSignal at_signal = AtSignal::kInterrupt);
  ~FileSource() override;
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  std::size_t read(std::span<char> buffer) override;

 private:
  std::string name_;
  int descriptor_;
  bool owned_;
  std::atomic<std::uint64_t>* counter_;
  AtSignal at_signal_;
};

// Lines of a source, without their line ends. Throws DataError for a line of more than 256 MiB.
class LineReader {
 public:
  LineReader(ByteSource& source, std::string name);
  // The next line, valid until the next call; nothing at the end. The last line may lack its line
  // end.
  std::optional<std::string_view> next();
  std::int64_t number() const {
    return number_;
  }  // of the line that next() returned; the first is 1
  const std::string& name() const { return name_; }

 private:
  ByteSource& source_;
  std::string name_;
  std::string buffer_;
  std::size_t begin_ = 0;  // of what was not returned yet
  std::int64_t number_ = 0;
  bool ended_ = false;
};

// Thrown when the reader of standard output has gone away: the command ends quietly.
struct OutputClosed {};

// Writes all of `text` to standard output. Throws OutputClosed, or ResourceError where the disk
// behind it is full.
void write_output(std::string_view text);

}  // namespace ovid::data_tools
