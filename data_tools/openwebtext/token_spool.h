#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/core/file.h"

namespace ovid::data_tools::openwebtext {

// A document that passed all stages that look at it alone.
struct SpooledDocument {
  std::string_view name;
  std::uint64_t text_bytes = 0;
  std::uint64_t overlap_ngrams = 0;  // 8-grams, and those of them that evaluation sets have
  std::uint64_t overlap_found = 0;
  std::span<const std::uint16_t> tokens;
};

// Bytes of the two files of a TokenSpool.
struct TokenSpoolState {
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;
};

// Documents' tokens that wait in a folder until all duplicates are known: documents.spool, and
// where each begins in documents.offsets. Disk: two bytes a token and some 50 and its name a
// document. Memory: 2 MiB. Throws ResourceError of the disk.
class TokenSpool {
 public:
  // Goes on behind `state`: what the files hold beyond it is cut off. Throws DataError where they
  // hold less.
  TokenSpool(const Path& folder, const TokenSpoolState& state);

  void add(const SpooledDocument& document);
  void sync();  // what was added is on the disk when this returns
  TokenSpoolState state() const { return state_; }

 private:
  void flush();

  Path folder_;
  std::optional<OutputFile> spool_;
  std::optional<OutputFile> offsets_;
  TokenSpoolState state_;
  std::string buffer_;
  std::string offset_buffer_;
};

// Reads what a TokenSpool wrote and synced. Throws DataError where a file is cut or damaged.
class SpooledTokens {
 public:
  SpooledTokens(const Path& folder, const TokenSpoolState& state);
  // In order; `behind` is the place in the file behind the document. The pages are given back to
  // the system on the way.
  void for_each(const std::function<void(std::uint64_t number, const SpooledDocument& document,
                                         std::uint64_t behind)>& visit) const;
  SpooledDocument document(std::uint64_t number) const;

 private:
  SpooledDocument read_at(std::uint64_t& offset) const;

  TokenSpoolState state_;
  MappedFile spool_;
  MappedFile offsets_;
};

}  // namespace ovid::data_tools::openwebtext
