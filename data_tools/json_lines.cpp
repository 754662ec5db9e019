#include "data_tools/json_lines.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <limits>

#include "data_tools/base64.h"
#include "src/core/error.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

namespace dom = simdjson::dom;

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// A line that is wrong in itself, while those after it may be right.
struct BadLine : DataError {
  using DataError::DataError;
};

[[noreturn]] void fail(const LineReader& where, const std::string& reason) {
  throw BadLine(fmt::format("{}:{}: {}", where.name(), where.number(), reason));
}

// The keys of an object, for a message: a wrong --field is the usual mistake.
std::string keys_of(const dom::object& object) {
  constexpr int kMost = 8;
  std::string keys;
  int count = 0;
  for (const auto field : object) {
    if (++count > kMost) return keys + ", ...";
    keys += (keys.empty() ? "" : ", ") + std::string(field.key);
  }
  return keys.empty() ? "none" : keys;
}

dom::object object_of(simdjson::simdjson_result<dom::element> parsed, const LineReader& where) {
  dom::object object;
  if (parsed.error()) {
    fail(where, fmt::format("not valid JSON ({})", simdjson::error_message(parsed.error())));
  }
  if (parsed.get(object)) fail(where, "not a JSON object, such as {\"text\": \"...\"}");
  return object;
}

}  // namespace

struct JsonLineParser::Parser {
  dom::parser parser;
  std::string repaired;
};

JsonLineParser::JsonLineParser(const InputOptions& options)
    : options_(options), parser_(std::make_unique<Parser>()) {}
JsonLineParser::~JsonLineParser() = default;

std::optional<std::string_view> JsonLineParser::text_field(std::string_view line,
                                                           const LineReader& where,
                                                           WalkCounts& counts) {
  if (is_blank(line)) return std::nullopt;
  if (!options_.skip_bad_lines) return read_field(line, where, counts);
  try {
    return read_field(line, where, counts);
  } catch (const BadLine& bad) {
    ++counts.bad_lines;
    if (counts.first_bad_line.empty()) counts.first_bad_line = bad.what();
    check_bad_lines(options_, counts);
    return std::nullopt;
  }
}

std::optional<std::string_view> JsonLineParser::read_field(std::string_view line,
                                                           const LineReader& where,
                                                           WalkCounts& counts) {
  auto parsed = parser_->parser.parse(line.data(), line.size());
  if (parsed.error() == simdjson::UTF8_ERROR && options_.repair_utf8) {
    tokenizer::ReplacedText replaced = tokenizer::replace_invalid_utf8(line);
    counts.replaced_in_lines += replaced.replacements;
    parser_->repaired = std::move(replaced.text);
    parsed = parser_->parser.parse(parser_->repaired);
  }
  const dom::object object = object_of(parsed, where);
  dom::element value;
  if (object.at_key(options_.field).get(value) || value.is_null()) {
    if (!options_.skip_missing_field) {
      fail(where, fmt::format("no field \"{}\" (there are: {}); name another with --field, or pass "
                              "over such lines with --skip-missing",
                              options_.field, keys_of(object)));
    }
    ++counts.lines_without_field;
    return std::nullopt;
  }
  std::string_view text;
  if (value.get(text)) fail(where, fmt::format("the field \"{}\" is not a string", options_.field));
  return text;
}

struct CodecRequestParser::Parser {
  dom::parser parser;
};

CodecRequestParser::CodecRequestParser() : parser_(std::make_unique<Parser>()) {}
CodecRequestParser::~CodecRequestParser() = default;

CodecRequest CodecRequestParser::encode_request(std::string_view line, const LineReader& where) {
  const dom::object object = object_of(parser_->parser.parse(line.data(), line.size()), where);
  dom::element text;
  dom::element base64;
  const bool has_text = object.at_key("text").get(text) == simdjson::SUCCESS;
  const bool has_base64 = object.at_key("base64").get(base64) == simdjson::SUCCESS;
  if (has_text == has_base64) {
    fail(where,
         fmt::format("needs \"text\" or \"base64\", one of them (there are: {})", keys_of(object)));
  }
  std::string_view value;
  if ((has_text ? text : base64).get(value)) {
    fail(where, fmt::format("\"{}\" is not a string", has_text ? "text" : "base64"));
  }
  if (has_text) return {.bytes = std::string(value), .ids = {}};
  std::optional<std::string> bytes = decode_base64(value);
  if (!bytes) fail(where, "\"base64\" is not base64 (A-Z a-z 0-9 + /, padded with = to 4)");
  return {.bytes = std::move(*bytes), .ids = {}};
}

CodecRequest CodecRequestParser::decode_request(std::string_view line, const LineReader& where) {
  const dom::object object = object_of(parser_->parser.parse(line.data(), line.size()), where);
  dom::array ids;
  if (object.at_key("ids").get(ids)) {
    fail(where, fmt::format("needs \"ids\", a list of token ids (there are: {})", keys_of(object)));
  }
  CodecRequest request;
  for (const dom::element element : ids) {
    std::int64_t id = 0;
    if (element.get(id) || id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
      fail(where, fmt::format("{} is not a token id", simdjson::to_string(element).substr(0, 40)));
    }
    request.ids.push_back(static_cast<std::int32_t>(id));
  }
  return request;
}

}  // namespace ovid::data_tools
