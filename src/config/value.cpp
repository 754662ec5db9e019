#include "src/config/value.h"

#include <fmt/format.h>

#include <array>

#include "src/config/number.h"
#include "src/config/number_advice.h"
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
    if (key_.type == Type::kPathList || key_.type == Type::kFileList ||
        key_.type == Type::kNameList)
      return read_list();
    if (key_.type == Type::kNumberList) return read_numbers();
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
      case Type::kFileList:
      case Type::kNameList:
      case Type::kNumberList:
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

  std::nullopt_t refuse_number() {
    NumberAdvice advice = advise_number(key_, node_.text);
    return wrong_type(std::move(advice.label), std::move(advice.help));
  }

  std::nullopt_t out_of_range() {
    return refuse(node_.place,
                  fmt::format("`{}` = {} is out of range", key_.path, in_backquotes(node_.text)),
                  "must be " + describe_range(key_.range));
  }

  bool refused_quotes(Letters letters) {
    if (!node_.in_quotes) return false;
    const bool number = letters == Letters::kInteger || letters == Letters::kNumber ||
                        letters == Letters::kScaledInteger;
    wrong_type(number ? "remove the quotes" : "");
    return true;
  }

  std::optional<Value> read_integer() {
    for (const std::string_view word : key_.choices) {
      if (node_.text == word) return Value(std::string(word));
    }
    const Letters letters = classify(node_.text);
    if (refused_quotes(letters)) return std::nullopt;
    if (letters != Letters::kInteger && letters != Letters::kScaledInteger) {
      if (const auto near = suggest_choice(node_.text, key_.choices);
          near && letters == Letters::kText) {
        return wrong_type(fmt::format("did you mean `{}`?", *near), describe_type(key_));
      }
      return refuse_number();
    }
    const std::optional<std::int64_t> value = parse_integer(node_.text);
    if (!value || !inside(key_.range, static_cast<double>(*value))) return out_of_range();
    return Value(*value);
  }

  std::optional<Value> read_number() {
    const Letters letters = classify(node_.text);
    if (refused_quotes(letters)) return std::nullopt;
    if (letters != Letters::kInteger && letters != Letters::kNumber) return refuse_number();
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
    constexpr std::array<std::string_view, 2> kWords{"true", "false"};
    const auto near = nearest(node_.text, kWords);
    return near ? wrong_type(fmt::format("did you mean `{}`?", *near)) : wrong_type();
  }

  std::optional<Value> read_choice() {
    for (const std::string_view choice : key_.choices) {
      if (node_.text == choice) return Value(node_.text);
    }
    const std::string all = fmt::format("one of {}", fmt::join(key_.choices, ", "));
    const auto near = suggest_choice(node_.text, key_.choices);
    return refuse(node_.place,
                  fmt::format("`{}` cannot be {}", key_.path, in_backquotes(node_.text)),
                  near ? fmt::format("did you mean `{}`?", *near) : all, near ? all : "");
  }

  std::optional<Value> read_numbers() {
    Key item_key = key_;
    item_key.type = Type::kNumber;
    std::vector<double> out;
    const auto read_item = [&](const Node& item) {
      const std::optional<Value> value = read_value(item_key, item, key_place_, report_);
      if (value) out.push_back(std::get<double>(*value));
      return value.has_value();
    };
    if (node_.kind == Node::Kind::kMap) return wrong_type();
    if (node_.kind == Node::Kind::kScalar) {
      if (!read_item(node_)) return std::nullopt;
      return Value(std::move(out));
    }
    bool good = true;
    for (const Node& item : node_.items) good = read_item(item) && good;
    if (!good) return std::nullopt;
    return Value(std::move(out));
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

  std::optional<std::string> read_entry(const Node& node) {
    if (key_.type != Type::kNameList) return read_path(node);
    if (!node.text.empty() && printable(node.text) == node.text) return node.text;
    return refuse(node.place,
                  fmt::format("an entry of `{}` is empty or has control characters", key_.path));
  }

  std::string entry_text() const {
    switch (key_.type) {
      case Type::kFileList:
        return "path";
      case Type::kNameList:
        return "name or pattern";
      default:
        return "path or pattern";
    }
  }

  std::optional<Value> read_list() {
    if (node_.kind == Node::Kind::kMap) return wrong_type();
    std::vector<std::string> out;
    if (node_.kind == Node::Kind::kScalar) {
      if (!node_.in_quotes && node_.text.find(", ") != std::string::npos) {
        return refuse(node_.place,
                      fmt::format("`{}` = {} is one {}", key_.path, in_backquotes(node_.text),
                                  key_.type == Type::kNameList ? "name" : "path"),
                      key_.type == Type::kNameList ? "a list needs brackets: [a, b]"
                                                   : "a list needs brackets: [a.bin, b.bin]",
                      key_.type == Type::kNameList ? "" : "a path with a comma in it needs quotes");
      }
      std::optional<std::string> path = read_entry(node_);
      if (!path) return std::nullopt;
      out.push_back(std::move(*path));
      return Value(std::move(out));
    }
    bool good = true;
    for (const Node& item : node_.items) {
      if (item.kind != Node::Kind::kScalar) {
        refuse(item.kind == Node::Kind::kNull ? key_place_ : item.place,
               fmt::format("an entry of `{}` cannot be {}", key_.path, kind_name(item)),
               "a " + entry_text());
        good = false;
        continue;
      }
      std::optional<std::string> path = read_entry(item);
      good = good && path.has_value();
      if (path) out.push_back(std::move(*path));
    }
    if (!good) return std::nullopt;
    if (key_.required && out.empty()) {
      return refuse(key_place_, fmt::format("`{}` is empty", key_.path),
                    "at least one " + entry_text());
    }
    return Value(std::move(out));
  }

  const Key& key_;
  const Node& node_;
  const Place& key_place_;
  Report& report_;
};

}  // namespace

std::optional<Value> read_value(const Key& key, const Node& node, const Place& key_place,
                                Report& report) {
  return ValueReader(key, node, key_place, report).read();
}

}  // namespace ovid::config
