#include "data_tools/openwebtext/web_record.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::openwebtext {
namespace {

namespace dom = simdjson::dom;

constexpr std::array<std::string_view, 3> kTextFields{"text", "content", "raw_content"};
constexpr std::array<std::string_view, 3> kUrlFields{"url", "source_url", "warc-target-uri"};
constexpr std::array<std::string_view, 3> kHeaders{"meta", "metadata", "warc_headers"};

bool equals_ignoring_case(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == y;
  });
}

std::string url_in(const dom::object& object) {
  for (const auto field : object) {
    const bool named =
        std::any_of(kUrlFields.begin(), kUrlFields.end(),
                    [&](std::string_view name) { return equals_ignoring_case(field.key, name); });
    std::string_view url;
    if (named && !field.value.get(url)) return std::string(url);
  }
  return {};
}

std::string url_of(const dom::object& object) {
  std::string url = url_in(object);
  for (const std::string_view name : kHeaders) {
    dom::object headers;
    if (url.empty() && !object.at_key(name).get(headers)) url = url_in(headers);
  }
  return url;
}

void append_strings(const dom::element& element, std::string& out) {
  std::string_view text;
  dom::array array;
  dom::object object;
  if (!element.get(text)) {
    out.append(text).push_back('\n');
  } else if (!element.get(array)) {
    for (const dom::element item : array) append_strings(item, out);
  } else if (!element.get(object)) {
    for (const auto field : object) append_strings(field.value, out);
  }
}

}  // namespace

struct WebRecordParser::Parser {
  dom::parser parser;
  std::string repaired;
};

WebRecordParser::WebRecordParser(std::string field)
    : field_(std::move(field)), parser_(std::make_unique<Parser>()) {}
WebRecordParser::~WebRecordParser() = default;

std::optional<WebRecord> WebRecordParser::parse(std::string_view json, std::string& wrong) {
  auto parsed = parser_->parser.parse(json.data(), json.size());
  if (parsed.error() == simdjson::UTF8_ERROR) {
    parser_->repaired = tokenizer::replace_invalid_utf8(json).text;
    parsed = parser_->parser.parse(parser_->repaired);
  }
  dom::object object;
  if (parsed.error() != simdjson::SUCCESS) {
    wrong = fmt::format("not valid JSON ({})", simdjson::error_message(parsed.error()));
    return std::nullopt;
  }
  if (parsed.get(object)) {
    wrong = "not a JSON object, such as {\"text\": \"...\"}";
    return std::nullopt;
  }
  std::string_view text;
  bool has_text = false;
  if (!field_.empty()) {
    has_text = !object.at_key(field_).get(text);
  } else {
    for (const std::string_view name : kTextFields) {
      has_text = has_text || !object.at_key(name).get(text);
    }
  }
  if (!has_text) {
    wrong = field_.empty() ? "no text in a field text, content or raw_content; name it with --field"
                           : fmt::format("no text in the field \"{}\"", field_);
    return std::nullopt;
  }
  return WebRecord{.text = std::string(text), .url = url_of(object)};
}

std::string all_strings(std::string_view json) {
  dom::parser parser;
  dom::element element;
  std::string out;
  if (!parser.parse(json.data(), json.size()).get(element)) append_strings(element, out);
  return out;
}

}  // namespace ovid::data_tools::openwebtext
