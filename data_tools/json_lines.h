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

  // The text of options.field, valid until the next call; nothing for an empty line, where the
  // field is absent and may be, and for a bad line where those are passed over. What is passed over
  // or replaced is added to `counts`. A bad line (no JSON object, the field absent or no string) is
  // otherwise a DataError that names file and line.
  std::optional<std::string_view> text_field(std::string_view line, const LineReader& where,
                                             WalkCounts& counts);

 private:
  struct Parser;
  std::optional<std::string_view> read_field(std::string_view line, const LineReader& where,
                                             WalkCounts& counts);
  const InputOptions& options_;
  std::unique_ptr<Parser> parser_;
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
