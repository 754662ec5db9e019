#include "src/config/value.h"

#include <fmt/format.h>

#include <cmath>

#include "src/config/number.h"
#include "src/config/suggestion.h"
#include "src/config/text.h"

namespace ovid::config {
namespace {

std::string kind_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      break;
  }
  return node.in_quotes ? fmt::format("the text {}", in_backquotes(node.text))
                        : in_backquotes(node.text);
}

// What to write in place of letters that are almost a number.
std::string number_in_plain(std::string_view text) {
  std::string bare(text);
  std::erase(bare, '_');
  const std::size_t sign = bare.starts_with('-') || bare.starts_with('+') ? 1 : 0;
  while (bare.size() > sign + 1 && bare[sign] == '0' && bare[sign + 1] >= '0' &&
         bare[sign + 1] <= '9') {
    bare.erase(sign, 1);
  }
  return fmt::format("write {}", printable(bare));
}

bool inside(const Range& range, double value) {
  if (range.without_low ? value <= range.low : value < range.low) return false;
  return range.without_high ? value < range.high : value <= range.high;
}

// Reads the value of one key.
class ValueReader {
 public:
  ValueReader(const Key& key, const Node& node, const Place& key_place, Report& report)
      : key_(key), node_(node), key_place_(key_place), report_(report) {}

  std::optional<Value> read() {
    if (node_.kind == Node::Kind::kNull) return read_null();
    if (key_.type == Type::kPathList) return read_list();
    if (node_.kind != Node::Kind::kScalar) return wrong_type();
    switch (key_.type) {
      case Type::kInteger:
        return read_integer();
      case Type::kNumber:
        return read_number();
      case Type::kBoolean:
        return read_boolean();
      case Type::kChoice:
        return read_choice();
      case Type::kText:
        return node_.text;
      case Type::kPath:
        return read_path(node_);
      case Type::kFolderName:
        return read_folder_name();
      case Type::kPathList:
        break;
    }
    return std::nullopt;
  }

 private:
  std::nullopt_t refuse(const Place& place, std::string message, std::string label = {},
                        std::string help = {}) {
    report_.add(place, std::move(message), std::move(label), std::move(help));
    return std::nullopt;
  }

  std::nullopt_t wrong_type(std::string label = {}, std::string help = {}) {
    const Place& place = node_.kind == Node::Kind::kScalar ? node_.place : key_place_;
    if (label.empty()) label = fmt::format("{}", describe_type(key_));
    return refuse(place, fmt::format("`{}` cannot be {}", key_.path, kind_name(node_)),
                  std::move(label), std::move(help));
  }

  std::optional<Value> read_null() {
    if (key_.nullable) return Value(std::monostate{});
    // On the command line, `samples.prompt=` is how a shell user writes an empty text.
    if (key_.type == Type::kText && key_place_.source->command_line) return Value(std::string());
    return refuse(key_place_, fmt::format("`{}` has no value", key_.path),
                  key_.type == Type::kText ? "write \"\" for an empty text" : describe_type(key_),
                  key_.required ? "" : "leave the key out for its default");
  }

  std::nullopt_t refuse_letters(Letters letters) {
    switch (letters) {
      case Letters::kLeadingZero:
        return wrong_type(number_in_plain(node_.text),
                          "numbers are decimal here; YAML 1.1 reads a leading 0 as octal");
      case Letters::kUnderscores:
        return wrong_type(number_in_plain(node_.text), "digits are not grouped here");
      case Letters::kOtherBase:
        return wrong_type("write it in decimal");
      case Letters::kNotFinite:
        return wrong_type(fmt::format("a finite number, {}", describe_range(key_.range)));
      default:
        return wrong_type();
    }
  }

  std::nullopt_t out_of_range() {
    return refuse(node_.place,
                  fmt::format("`{}` = {} is out of range", key_.path, in_backquotes(node_.text)),
                  "must be " + describe_range(key_.range));
  }

  bool refused_quotes(Letters letters) {
    if (!node_.in_quotes) return false;
    const bool number = letters == Letters::kInteger || letters == Letters::kNumber;
    wrong_type(number ? "remove the quotes" : "");
    return true;
  }

  std::optional<Value> read_integer() {
    const Letters letters = classify(node_.text);
    if (refused_quotes(letters)) return std::nullopt;
    if (letters == Letters::kNumber) {
      const std::optional<double> value = parse_number(node_.text);
      const bool whole = value && std::abs(*value) < 1e15 && *value == std::floor(*value);
      return whole ? wrong_type(fmt::format("write {}", static_cast<std::int64_t>(*value)))
                   : wrong_type();
    }
    if (letters != Letters::kInteger) return refuse_letters(letters);
    const std::optional<std::int64_t> value = parse_integer(node_.text);
    if (!value || !inside(key_.range, static_cast<double>(*value))) return out_of_range();
    return Value(*value);
  }

  std::optional<Value> read_number() {
    const Letters letters = classify(node_.text);
    if (refused_quotes(letters)) return std::nullopt;
    if (letters != Letters::kInteger && letters != Letters::kNumber) return refuse_letters(letters);
    const std::optional<double> value = parse_number(node_.text);
    if (!value) {
      return refuse(
          node_.place,
          fmt::format("`{}` = {} does not fit in a double", key_.path, in_backquotes(node_.text)),
          "must be " + describe_range(key_.range));
    }
    if (!inside(key_.range, *value)) return out_of_range();
    return Value(*value == 0.0 ? 0.0 : *value);  // -0 is 0
  }

  std::optional<Value> read_boolean() {
    if (!node_.in_quotes && node_.text == "true") return Value(true);
    if (!node_.in_quotes && node_.text == "false") return Value(false);
    for (const std::string_view word :
         {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "1"}) {
      if (node_.text == word) return wrong_type("write true");
    }
    for (const std::string_view word :
         {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "0"}) {
      if (node_.text == word) return wrong_type("write false");
    }
    return wrong_type();
  }

  std::optional<Value> read_choice() {
    for (const std::string_view choice : key_.choices) {
      if (node_.text == choice) return Value(node_.text);
    }
    const std::string all = fmt::format("one of {}", fmt::join(key_.choices, ", "));
    const auto near = nearest(node_.text, key_.choices);
    return refuse(node_.place,
                  fmt::format("`{}` cannot be {}", key_.path, in_backquotes(node_.text)),
                  near ? fmt::format("did you mean `{}`?", *near) : all, near ? all : "");
  }

  std::optional<std::string> read_path(const Node& node) {
    if (node.text.empty())
      return refuse(node.place, fmt::format("`{}` holds an empty path", key_.path));
    if (printable(node.text) != node.text) {
      return refuse(node.place,
                    fmt::format("`{}` holds a path with control characters", key_.path));
    }
    if (node.text == "~" || node.text.starts_with("~/")) {
      return refuse(node.place,
                    fmt::format("`~` means no home folder here: {}", in_backquotes(node.text)),
                    "write the whole path");
    }
    return node.text;
  }

  std::optional<Value> read_folder_name() {
    constexpr std::size_t kLongest =
        200;  // file systems end at 255 bytes, and temporary names grow from it
    const std::string& name = node_.text;
    std::string reason;
    if (name.empty()) reason = "a name";
    if (name.find('/') != std::string::npos)
      reason = "a name without `/`; `run.directory` says where it lies";
    if (name.starts_with('.')) reason = "a name that does not begin with a point";
    if (printable(name) != name) reason = "a name without control characters";
    if (name.size() > kLongest) reason = fmt::format("at most {} bytes", kLongest);
    if (reason.empty()) return Value(name);
    return refuse(node_.place,
                  fmt::format("`{}` = {} cannot name a folder", key_.path, in_backquotes(name)),
                  reason);
  }

  std::optional<Value> read_list() {
    if (node_.kind == Node::Kind::kMap) return wrong_type();
    std::vector<std::string> out;
    if (node_.kind == Node::Kind::kScalar) {
      std::optional<std::string> path = read_path(node_);
      if (!path) return std::nullopt;
      out.push_back(std::move(*path));
      return Value(std::move(out));
    }
    bool good = true;
    for (const Node& item : node_.items) {
      if (item.kind != Node::Kind::kScalar) {
        refuse(item.kind == Node::Kind::kNull ? key_place_ : item.place,
               fmt::format("an entry of `{}` cannot be {}", key_.path, kind_name(item)),
               "a path or a pattern");
        good = false;
        continue;
      }
      std::optional<std::string> path = read_path(item);
      good = good && path.has_value();
      if (path) out.push_back(std::move(*path));
    }
    if (!good) return std::nullopt;
    if (key_.required && out.empty()) {
      return refuse(key_place_, fmt::format("`{}` is empty", key_.path),
                    "at least one path or pattern");
    }
    return Value(std::move(out));
  }

  const Key& key_;
  const Node& node_;
  const Place& key_place_;
  Report& report_;
};

// Whether the letters are that text in every YAML reader without quotes.
bool needs_no_quotes(std::string_view text) {
  if (text.empty() || classify(text) != Letters::kText || text == "null" || text == "Null" ||
      text == "NULL") {
    return false;
  }
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!is_letter(text.front()) && text.front() != '/') return false;
  for (const char c : text) {
    const bool plain = is_letter(c) || (c >= '0' && c <= '9') ||
                       std::string_view("_-./*").find(c) != std::string_view::npos;
    if (!plain) return false;
  }
  return true;
}

std::string text_to_yaml(std::string_view text) {
  if (needs_no_quotes(text)) return std::string(text);
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8_length(text.substr(i)));
    const std::string_view character = text.substr(i, length);
    if (character == "\"" || character == "\\") {
      out += fmt::format("\\{}", character);
    } else if (character == "\n") {
      out += "\\n";
    } else if (character == "\xef\xbb\xbf") {
      out += "\\uFEFF";  // a byte order mark, which readers drop
    } else if (is_control(character)) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(character.back()));
    } else {
      out += character;
    }
    i += length;
  }
  return out + "\"";
}

std::string number_to_yaml(double value) {
  const std::string out = fmt::format("{}", value);
  // YAML 1.1 readers take 1e-08 for a text: a number of theirs has a point.
  const std::size_t exponent = out.find('e');
  if (out.find('.') != std::string::npos) return out;
  return exponent == std::string::npos ? out + ".0"
                                       : out.substr(0, exponent) + ".0" + out.substr(exponent);
}

struct YamlWriter {
  std::string operator()(std::monostate) const { return "null"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return number_to_yaml(value); }
  std::string operator()(const std::string& value) const { return text_to_yaml(value); }
  std::string operator()(const std::vector<std::string>& value) const {
    std::vector<std::string> items;
    for (const std::string& item : value) items.push_back(text_to_yaml(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
};

}  // namespace

std::optional<Value> read_value(const Key& key, const Node& node, const Place& key_place,
                                Report& report) {
  return ValueReader(key, node, key_place, report).read();
}

std::string to_yaml(const Value& value) {
  return std::visit(YamlWriter{}, value);
}

}  // namespace ovid::config
