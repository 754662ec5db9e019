#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data_tools/base64.h"
#include "data_tools/byte_source.h"
#include "data_tools/commands.h"
#include "data_tools/json_lines.h"
#include "src/core/error.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

// Calls answer(line, where) for each line of standard input that is not blank, and writes what it
// returns at once: the program at the other end of a pipe may wait for the answer before it asks
// on.
template <typename Answer>
void answer_lines(const Answer& answer) {
  FileSource input("-");
  LineReader lines(input, "standard input");
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
    write_output(answer(*line, lines));
  }
}

std::string ids_line(const std::vector<tokenizer::TokenId>& ids) {
  return fmt::format("{{\"ids\":[{}]}}\n", fmt::join(ids, ","));
}

std::string text_line(const std::string& bytes) {
  nlohmann::ordered_json line;
  if (tokenizer::find_invalid_utf8(bytes)) {
    line["text"] = tokenizer::replace_invalid_utf8(bytes).text;
    line["base64"] = encode_base64(bytes);
  } else {
    line["text"] = bytes;
  }
  return line.dump() + "\n";
}

// An error of the tokenizer does not know the line.
[[noreturn]] void fail_at(const LineReader& where, const Error& error) {
  throw DataError(fmt::format("{}:{}: {}", where.name(), where.number(), error.what()));
}

}  // namespace

void run_encode(const CodecOptions& options) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(options.tokenizer);
  const auto special = options.allow_special ? tokenizer::SpecialTokens::kRecognise
                                             : tokenizer::SpecialTokens::kAsText;
  tokenizer::EncodeCache cache;
  CodecRequestParser parser;
  std::vector<tokenizer::TokenId> ids;
  answer_lines([&](std::string_view line, const LineReader& where) {
    const CodecRequest request = parser.encode_request(line, where);
    ids.clear();
    try {
      tokenizer.encode_append(request.bytes, special, cache, ids);
    } catch (const Error& error) {
      fail_at(where, error);
    }
    return ids_line(ids);
  });
}

void run_decode(const CodecOptions& options) {
  const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(options.tokenizer);
  CodecRequestParser parser;
  answer_lines([&](std::string_view line, const LineReader& where) {
    const CodecRequest request = parser.decode_request(line, where);
    try {
      return text_line(tokenizer.decode(request.ids));
    } catch (const Error& error) {
      fail_at(where, error);
    }
  });
}

}  // namespace ovid::data_tools
