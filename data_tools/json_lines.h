#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/byte_source.h"
#include "data_tools/documents.h"

namespace ovid::data_tools {

// Reads one field of each JSON line of a text corpus.
class JsonLineParser {
 public:
  explicit JsonLineParser(const InputOptions& options);  // kept by reference
  ~JsonLineParser();

  // The text of options.field, valid until the next call; nothing for an empty line, or where the
  // field is absent and may be. Throws DataError naming file and line, also for a line that is not
  // a JSON object, or a field that is no string.
  std::optional<std::string_view> text_field(std::string_view line, const LineReader& where);

  std::uint64_t lines_without_field() const { return lines_without_field_; }
  std::uint64_t replacements() const { return replacements_; }

 private:
  struct Parser;
  const InputOptions& options_;
  std::unique_ptr<Parser> parser_;
  std::uint64_t lines_without_field_ = 0;
  std::uint64_t replacements_ = 0;
};

// What a line of `ovid-data encode` or `decode` asks for.
struct CodecRequest {
  std::string bytes;              // of {"text"} or {"base64"}
  std::vector<std::int32_t> ids;  // of {"ids"}
};

// Parses the requests of encode ("text" or "base64") and decode ("ids"). Throws DataError naming
// the line.
class CodecRequestParser {
 public:
  CodecRequestParser();
  ~CodecRequestParser();
  CodecRequest encode_request(std::string_view line, const LineReader& where);
  CodecRequest decode_request(std::string_view line, const LineReader& where);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace ovid::data_tools
