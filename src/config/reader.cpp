#include "src/config/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>

#include "src/config/schema.h"
#include "src/config/suggestion.h"
#include "src/config/text.h"
#include "src/config/value.h"
#include "src/core/error.h"

namespace ovid::config {
namespace {

constexpr std::size_t kDeepestInclude = 8;
constexpr std::size_t kMostFiles = 32;

std::string joined_path(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

}  // namespace

const Source& Reader::add_source(std::string_view name, std::string_view text, bool command_line,
                                 Place included_from) {
  return sources_.emplace_back(name, text, command_line, sources_.size(), included_from);
}

void Reader::read_file_text(std::string_view name, std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  const bool too_large = text.size() > kLargestFile;
  const Source& source = add_source(name, too_large ? "" : text, false);
  given_.whole = Place{&source, 0, 0, 1, true};
  if (too_large) {
    report_.add(
        given_.whole,
        fmt::format("the config is larger than {} bytes, the most that is read", kLargestFile), {},
        "is this the right file?");
    readable_ = false;
    return;
  }
  read_document(source);
}

void Reader::read_document(const Source& source) {
  const Place whole{&source, 0, 0, 1, true};
  const std::optional<Node> root = read_yaml(source, 0, report_);
  if (root && root->kind == Node::Kind::kMap) {
    open_.emplace_back(source.name);
    read_bases(*root);
    open_.pop_back();
    ++layer_;
    return read_entries("", *root);
  }
  readable_ = false;
  if (root && root->kind == Node::Kind::kNull) {
    report_.add(whole, "the config is empty", {}, "`ovid config explain` lists all keys");
  } else if (root) {
    report_.add(root->place, "a config is a map of sections, and this is none", {},
                "write `key: value` lines; `ovid config explain` lists all keys");
  }
}

// Of two `include` keys the first is read; read_entries refuses the other.
void Reader::read_bases(const Node& root) {
  const auto entry = std::find_if(root.entries.begin(), root.entries.end(),
                                  [](const auto& e) { return e.key.text == include_key().path; });
  if (entry == root.entries.end()) return;
  const auto& [name, node] = *entry;
  const std::optional<Value> paths = read_value(include_key(), node, name.place, report_);
  if (!paths) {
    readable_ = false;
    return;
  }
  const auto& list = std::get<std::vector<std::string>>(*paths);
  for (std::size_t i = 0; i < list.size(); ++i) {
    read_base(list[i], node.kind == Node::Kind::kSequence ? node.items[i].place : node.place);
  }
}

bool Reader::closes_a_circle(const Path& file, const Place& place) {
  for (std::size_t i = 0; i < open_.size(); ++i) {
    std::error_code ignored;  // a text that is no file is equal to none
    if (!std::filesystem::equivalent(open_[i], file, ignored)) continue;
    std::string circle;
    for (; i < open_.size(); ++i) circle += printable(open_[i].string()) + " -> ";
    report_.add(place, "the files include each other in a circle", {},
                circle + printable(file.string()));
    return true;
  }
  return false;
}

void Reader::read_base(const std::string& written, const Place& place) {
  const Path file = open_.back().parent_path() / written;
  const auto refuse = [&](std::string message, std::string label, std::string help = {}) {
    report_.add(place, std::move(message), std::move(label), std::move(help));
    readable_ = false;
  };
  if (closes_a_circle(file, place)) {
    readable_ = false;
    return;
  }
  if (open_.size() >= kDeepestInclude) {
    return refuse(fmt::format("files are included deeper than {} levels", kDeepestInclude), {});
  }
  if (sources_.size() >= kMostFiles) {
    return refuse(fmt::format("the config is made of more than {} files", kMostFiles), {});
  }
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file, error);
  // A pipe would be waited for; a folder and a device are no text.
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return refuse(fmt::format("{} is not a regular file", in_backquotes(file.string())),
                  "a config file");
  }
  std::string text;
  try {
    text = read_file(file, kLargestFile + 3);
  } catch (const Error& e) {
    return refuse(printable(e.what()), "an included file",
                  "its path starts at the folder of the file that names it");
  }
  std::string_view body = text;
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  read_document(add_source(file.string(), body, false, place));
}

void Reader::read_override(std::string_view text) {
  const Source& source = add_source("command line", text, true);
  ++layer_;
  const std::size_t equals = text.find('=');
  const Place key_place{&source, 0, 0, std::min(equals, text.size())};
  if (equals == std::string_view::npos || equals == 0) {
    report_.add(key_place, "an override has the form `section.key=value`");
    return;
  }
  if (text.find('\n') != std::string_view::npos) {
    report_.add(key_place, "an override holds no line end", {},
                "write \\n in a text in double quotes");
    return;
  }
  const std::string_view path = text.substr(0, equals);
  const Key* key = find_key(path);
  if (key == nullptr) {
    unknown_override(path, key_place);
    return;
  }
  given_.failed.erase(std::string(path));
  const std::size_t reported = report_.size();
  const std::optional<Node> node = read_yaml(source, equals + 1, report_);
  if (node && node->kind == Node::Kind::kMap) {
    report_.add(key_place, fmt::format("`{}` cannot be a map", path), describe_type(*key),
                "a text with `: ` in it needs quotes of its own");
  } else if (node) {
    read_key(*key, *node, key_place, "command line");
  }
  if (report_.size() > reported) given_.failed.insert(std::string(path));
}

void Reader::read_entries(std::string_view section, const Node& map) {
  std::map<std::string_view, std::size_t> lines;
  for (const auto& [name, value] : map.entries) {
    const auto [first, is_new] = lines.emplace(name.text, name.place.line + 1);
    const std::string path = joined_path(section, name.text);
    if (!is_new) {
      report_.add(name.place, fmt::format("`{}` is given twice", printable(path)),
                  fmt::format("first given in line {}", first->second), "keep one of the two");
      given_.failed.insert(path);
    } else if (path == include_key().path) {
      continue;  // read_bases has read it
    } else if (section.empty() && find_section(name.text) != nullptr) {
      read_section(name, value);
    } else if (const Key* key =
                   name.text.find('.') == std::string::npos ? find_key(path) : nullptr) {
      read_key(*key, value, name.place,
               fmt::format("{}:{}", printable(name.place.source->name), name.place.line + 1));
    } else {
      unknown_key(section, name, value);
    }
  }
}

void Reader::read_section(const Node& name, const Node& value) {
  given_.sections[name.text] = name.place;
  if (value.kind == Node::Kind::kNull) return;
  if (value.kind == Node::Kind::kMap) return read_entries(name.text, value);
  const bool list = value.kind == Node::Kind::kSequence;
  const std::string parted = suggest_parting(name.text, value.text);
  report_.add(
      name.place,
      fmt::format("`{}` is a section, and here it is a {}", name.text, list ? "list" : "value"),
      list             ? "keys below it, indented, without `- `"
      : parted.empty() ? "keys below it, indented"
                       : fmt::format("write `{}` below it", printable(parted)),
      fmt::format("`ovid config explain {}` lists them", name.text));
  for (const Key& key : schema()) {
    if (split_path(key.path).first == name.text) given_.failed.insert(std::string(key.path));
  }
}

void Reader::read_key(const Key& key, const Node& node, const Place& place,
                      const std::string& origin) {
  const std::string path(key.path);
  std::optional<Value> value = read_value(key, node, place, report_);
  if (!value) {
    given_.failed.insert(path);
    return;
  }
  given_.failed.erase(path);
  given_.values[path] = {std::move(*value), place, origin, layer_};
}

void Reader::unknown_key(std::string_view section, const Node& name, const Node& value) {
  const std::string unknown = fmt::format("unknown key {}", in_backquotes(name.text));
  if (section.empty() && find_key(name.text) != nullptr) {
    const auto [home, last] = split_path(name.text);
    report_.add(name.place, unknown, fmt::format("write `{}` below `{}:`", last, home),
                "dotted keys are for the command line");
    return;
  }
  if (const std::string parted = suggest_parting(section, name.text);
      value.kind == Node::Kind::kNull && !parted.empty()) {
    report_.add(name.place, unknown, fmt::format("write `{}`", printable(parted)),
                "a colon and a space part a key from its value");
    return;
  }
  if (name.text.size() > 1 && name.text[0] == '-' && value.kind == Node::Kind::kNull) {
    report_.add(name.place, unknown, fmt::format("write `- {}`", printable(name.text.substr(1))),
                "a list entry begins with `-` and a space");
    return;
  }
  const std::string where = section.empty() ? "" : fmt::format(" in `{}`", section);
  const bool merge = name.text == "<<";
  report_.add(name.place, unknown + where,
              merge ? "YAML's merge key is not read here" : suggest_key(section, name.text),
              merge ? "`include` reads the keys of a base file"
                    : fmt::format("`ovid config explain{}{}` lists all keys{}",
                                  section.empty() ? "" : " ", section, where));
}

void Reader::unknown_override(std::string_view path, const Place& place) {
  if (find_section(path) != nullptr) {
    report_.add(place, fmt::format("{} is a section", in_backquotes(path)),
                "name one of its keys, `section.key=value`",
                fmt::format("`ovid config explain {}` lists them", path));
    return;
  }
  if (path == include_key().path) {
    report_.add(place, "`include` stands in files only", "write it in the config file");
    return;
  }
  const auto [section, name] = split_path(path);
  const bool known_section = section.empty() || find_section(section) != nullptr;
  report_.add(place, fmt::format("unknown key {}", in_backquotes(path)),
              suggest_key(known_section ? section : "", known_section ? name : section),
              "`ovid config explain` lists all keys");
}

}  // namespace ovid::config
