#include "data_tools/review_parser.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "data_tools/byte_source.h"
#include "data_tools/interruption.h"
#include "data_tools/python_literal.h"
#include "src/core/error.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

namespace dom = simdjson::dom;

// A record that is wrong in itself; the message is the reason.
struct BadRecord : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a review is made of, and its names in the releases, the one that counts first.
struct Names {
  std::vector<std::string_view> stars{"overall", "rating", "star_rating"};
  std::vector<std::string_view> product{"product_parent", "parent_asin", "asin", "product_id"};
  std::vector<std::string_view> headline{"summary", "title", "review_headline"};
  std::vector<std::string_view> body{"reviewText", "text", "review_body"};
  std::vector<std::string_view> category{"product_category"};
};

int whole_stars(double value) {
  for (int stars = 1; stars <= 5; ++stars) {
    if (value == stars) return stars;
  }
  throw BadRecord(fmt::format("{} stars, not 1 to 5", value));
}

int stars_of_text(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw BadRecord(fmt::format("no number of stars but \"{}\"", text.substr(0, 40)));
  }
  return whole_stars(value);
}

// Fills a review from `text_of(names)`, which finds the first of the names that is there, and
// `stars`.
template <typename TextOf>
Review review_of(int stars, const TextOf& text_of) {
  const Names names;
  Review review;
  review.stars = stars;
  review.product = text_of(names.product);
  review.headline = text_of(names.headline);
  review.body = text_of(names.body);
  review.category = text_of(names.category);
  if (review.product.empty()) throw BadRecord("no product (asin or product_id)");
  return review;
}

Review review_of_json(const dom::object& object) {
  const auto text_of = [&](const std::vector<std::string_view>& names) -> std::string {
    for (const std::string_view name : names) {
      dom::element value;
      std::string_view text;
      if (object.at_key(name).get(value) || value.is_null()) continue;
      if (value.get(text)) throw BadRecord(fmt::format("\"{}\" is not a string", name));
      return std::string(text);
    }
    return {};
  };
  for (const std::string_view name : Names{}.stars) {
    dom::element value;
    double number = 0;
    std::string_view text;
    if (object.at_key(name).get(value)) continue;
    if (!value.get(number)) return review_of(whole_stars(number), text_of);
    if (!value.get(text)) return review_of(stars_of_text(text), text_of);
  }
  throw BadRecord("no stars (overall, rating or star_rating)");
}

Review review_of_python(std::string_view line) {
  const auto dict = parse_python_dict(line);
  const auto text_of = [&](const std::vector<std::string_view>& names) -> std::string {
    for (const std::string_view name : names) {
      const auto found = dict.find(std::string(name));
      if (found == dict.end() || found->second.index() == 0) continue;
      if (const auto* text = std::get_if<std::string>(&found->second)) return *text;
      throw BadRecord(fmt::format("\"{}\" is not a string", name));
    }
    return {};
  };
  for (const std::string_view name : Names{}.stars) {
    const auto found = dict.find(std::string(name));
    if (found == dict.end()) continue;
    if (const auto* number = std::get_if<double>(&found->second)) {
      return review_of(whole_stars(*number), text_of);
    }
  }
  throw BadRecord("no stars (overall, rating or star_rating)");
}

std::vector<std::string_view> fields_of(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::vector<std::string_view> fields;
  for (std::size_t begin = 0;;) {
    const std::size_t end = line.find('\t', begin);
    fields.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return fields;
    begin = end + 1;
  }
}

std::optional<std::size_t> find_column(const ReviewColumns& columns,
                                       const std::vector<std::string_view>& wanted) {
  for (const std::string_view name : wanted) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i] == name) return i;
    }
  }
  return std::nullopt;
}

ReviewColumns columns_of(std::string_view header, const std::string& name) {
  constexpr std::size_t kMostShown = 300;
  ReviewColumns columns;
  for (const std::string_view field : fields_of(header)) columns.emplace_back(field);
  const Names names;
  if (find_column(columns, names.stars) && find_column(columns, names.product) &&
      find_column(columns, names.body)) {
    return columns;
  }
  std::string shown;
  for (const char c : header.substr(0, kMostShown)) {
    shown += static_cast<unsigned char>(c) < ' ' || c == 0x7F ? ' ' : c;
  }
  throw DataError(fmt::format(
      "{} begins neither with {{ or [ (JSON) nor with a header line that has the columns "
      "star_rating, product_id and review_body, separated by tabs; it begins with: {}",
      name, tokenizer::replace_invalid_utf8(shown).text));
}

Review review_of_row(const ReviewColumns& columns, const std::vector<std::string_view>& fields) {
  if (fields.size() != columns.size()) {
    throw BadRecord(
        fmt::format("{} columns, and the header has {}", fields.size(), columns.size()));
  }
  const auto text_of = [&](const std::vector<std::string_view>& names) -> std::string {
    const auto column = find_column(columns, names);
    return column ? std::string(fields[*column]) : std::string();
  };
  return review_of(stars_of_text(text_of(Names{}.stars)), text_of);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

void for_each_review_record(const std::string& name, PeekedSource& content,
                            const std::function<void(ReviewRecord&&)>& visit) {
  const char first = content.first_character();
  if (first == '\0') return;
  if (first == '[') {
    for_each_json_record(content, name, 1, [&](const JsonRecord& record) {
      visit({.text = std::string(record.text), .line = record.line, .columns = nullptr});
    });
    return;
  }
  LineReader lines(content, name);
  std::shared_ptr<const ReviewColumns> columns;
  if (first != '{') {
    const auto header = lines.next();
    if (!header) return;
    columns = std::make_shared<const ReviewColumns>(columns_of(*header, name));
  }
  while (const auto line = lines.next()) {
    check_interruption();
    if (is_blank(*line)) continue;
    visit({.text = std::string(*line), .line = lines.number(), .columns = columns});
  }
}

struct ReviewParser::Json {
  dom::parser parser;
};

ReviewParser::ReviewParser() : json_(std::make_unique<Json>()) {}
ReviewParser::~ReviewParser() = default;
ReviewParser::ReviewParser(ReviewParser&&) noexcept = default;

Review ReviewParser::parse_object(std::string_view text) {
  const auto parsed = json_->parser.parse(text.data(), text.size());
  if (!parsed.error()) {
    dom::object object;
    if (parsed.get(object)) throw BadRecord("not an object");
    return review_of_json(object);
  }
  // Only what no JSON can be is worth a second look: the message should be about the JSON else.
  const std::size_t quote = text.find_first_of("'\"", text.find('{') + 1);
  const bool python =
      quote != std::string_view::npos && (text[quote] == '\'' || text[quote - 1] == 'u');
  if (!python) {
    throw BadRecord(fmt::format("not valid JSON ({})", simdjson::error_message(parsed.error())));
  }
  return review_of_python(text);
}

ParsedReview ReviewParser::parse(const ReviewRecord& record) {
  ParsedReview result;
  tokenizer::ReplacedText repaired;
  std::string_view text = record.text;
  if (tokenizer::find_invalid_utf8(text)) {
    repaired = tokenizer::replace_invalid_utf8(text);
    result.replaced = repaired.replacements;
    text = repaired.text;
  }
  try {
    result.review =
        record.columns ? review_of_row(*record.columns, fields_of(text)) : parse_object(text);
  } catch (const BadRecord& bad) {
    result.reason = bad.what();
  } catch (const PythonSyntaxError& bad) {
    result.reason = bad.what();
  }
  return result;
}

}  // namespace ovid::data_tools
