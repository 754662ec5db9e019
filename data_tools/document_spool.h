#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/core/file.h"

namespace ovid::data_tools {

// How far a DocumentSpool is: enough to go on after the process has died.
struct DocumentSpoolState {
  std::uint64_t documents = 0;
  std::uint64_t tokens = 0;       // of all of them
  std::uint64_t last_tokens = 0;  // of the last one, which may not have ended
  std::uint64_t last_bytes = 0;
};

// Documents' tokens that wait in a file of a folder (waiting.tokens; their lengths in
// waiting.lengths), for as long as it is not known where they go. Memory: 16 bytes a document.
// Errors as those of OutputFile.
class DocumentSpool {
 public:
  struct Lengths {
    std::uint64_t tokens = 0;
    std::uint64_t bytes = 0;  // of the text
  };
  // Begins anew, or goes on from a state: what the files hold beyond it is cut off. Throws
  // DataError where they hold less.
  explicit DocumentSpool(const Path& directory);
  DocumentSpool(const Path& directory, const DocumentSpoolState& state);
  static void remove_files(const Path& directory);

  void begin_document();
  void add(std::span<const std::uint16_t> tokens, std::uint64_t text_bytes);
  void sync();  // what was added is on the disk when this returns
  DocumentSpoolState state() const;

  // Tells of each document in order, its tokens in parts of bounded size: one call at least, the
  // first with `begins`. The spool may be read again.
  struct Part {
    const Lengths& document;
    bool begins;
    std::uint64_t index;  // of the document
    std::span<const std::uint16_t> tokens;
  };
  void for_each_part(const std::function<void(const Part&)>& visit);

 private:
  void flush();

  Path directory_;
  OutputFile tokens_;
  OutputFile lengths_;
  std::vector<std::uint16_t> buffer_;
  std::vector<Lengths> documents_;
  std::size_t written_lengths_ = 0;  // documents whose lengths are in the file
  std::uint64_t total_tokens_ = 0;
};

}  // namespace ovid::data_tools
