#include "src/config/config.h"

#include <fmt/format.h>

#include <deque>
#include <set>

#include "src/config/pages.h"
#include "src/config/report.h"
#include "src/config/resolve.h"
#include "src/config/schema.h"
#include "src/config/suggestion.h"
#include "src/config/text.h"
#include "src/config/value.h"
#include "src/config/yaml_tree.h"

namespace ovid::config {
namespace {

constexpr std::uint64_t kLargestFile = 1 << 20;

std::string joined_path(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
}

// Reads what the file and the overrides give, key by key.
class Reader {
 public:
  explicit Reader(Report& report) : report_(report) {}

  void read_file_text(const Source& source) {
    given_.whole = Place{&source, 0, 0, 1, true};
    const std::optional<Node> root = read_yaml(source, 0, report_);
    if (!root) {
      readable_ = false;
      return;
    }
    if (root->kind == Node::Kind::kNull) {
      report_.add(given_.whole, "the config is empty", {}, "`ovid config explain` lists all keys");
      readable_ = false;
    } else if (root->kind != Node::Kind::kMap) {
      report_.add(root->place, "a config is a map of sections, and this is none", {},
                  "write `key: value` lines; `ovid config explain` lists all keys");
      readable_ = false;
    } else {
      read_entries("", *root);
    }
  }

  void read_override(const Source& source) {
    const std::string_view text = source.text;
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

  const Given& given() const { return given_; }
  bool readable() const { return readable_; }

 private:
  void read_entries(std::string_view section, const Node& map) {
    std::map<std::string_view, std::size_t> lines;
    for (const auto& [name, value] : map.entries) {
      const auto [first, is_new] = lines.emplace(name.text, name.place.line + 1);
      const std::string path = joined_path(section, name.text);
      if (!is_new) {
        report_.add(name.place, fmt::format("`{}` is given twice", printable(path)),
                    fmt::format("first given in line {}", first->second), "keep one of the two");
        given_.failed.insert(path);
      } else if (section.empty() && find_section(name.text) != nullptr) {
        read_section(name, value);
      } else if (const Key* key =
                     name.text.find('.') == std::string::npos ? find_key(path) : nullptr) {
        read_key(*key, value, name.place,
                 fmt::format("{}:{}", printable(name.place.source->name), name.place.line + 1));
      } else {
        unknown_key(section, name);
      }
    }
  }

  void read_section(const Node& name, const Node& value) {
    given_.sections[name.text] = name.place;
    if (value.kind == Node::Kind::kNull) return;
    if (value.kind == Node::Kind::kMap) return read_entries(name.text, value);
    report_.add(name.place,
                fmt::format("`{}` is a section, and here it is a {}", name.text,
                            value.kind == Node::Kind::kSequence ? "list" : "value"),
                "keys below it, indented",
                fmt::format("`ovid config explain {}` lists them", name.text));
    for (const Key& key : schema()) {
      if (split_path(key.path).first == name.text) given_.failed.insert(std::string(key.path));
    }
  }

  void read_key(const Key& key, const Node& node, const Place& place, const std::string& origin) {
    std::optional<Value> value = read_value(key, node, place, report_);
    if (!value) {
      given_.failed.insert(std::string(key.path));
      return;
    }
    given_.values[std::string(key.path)] = {std::move(*value), place, origin};
  }

  void unknown_key(std::string_view section, const Node& name) {
    if (section.empty() && find_key(name.text) != nullptr) {
      const auto [home, last] = split_path(name.text);
      report_.add(name.place, fmt::format("unknown key {}", in_backquotes(name.text)),
                  fmt::format("write `{}` below `{}:`", last, home),
                  "dotted keys are for the command line");
      return;
    }
    const std::string where = section.empty() ? "" : fmt::format(" in `{}`", section);
    report_.add(name.place, fmt::format("unknown key {}{}", in_backquotes(name.text), where),
                suggest_key(section, name.text),
                fmt::format("`ovid config explain{}{}` lists all keys{}",
                            section.empty() ? "" : " ", section, where));
  }

  void unknown_override(std::string_view path, const Place& place) {
    if (find_section(path) != nullptr) {
      report_.add(place, fmt::format("{} is a section", in_backquotes(path)),
                  "name one of its keys, `section.key=value`",
                  fmt::format("`ovid config explain {}` lists them", path));
      return;
    }
    const auto [section, name] = split_path(path);
    const bool known_section = section.empty() || find_section(section) != nullptr;
    report_.add(place, fmt::format("unknown key {}", in_backquotes(path)),
                suggest_key(known_section ? section : "", known_section ? name : section),
                "`ovid config explain` lists all keys");
  }

  Report& report_;
  Given given_;
  bool readable_ = true;
};

}  // namespace

LoadedConfig load_text(std::string_view text, std::string_view name,
                       std::span<const std::string> overrides) {
  Report report;
  Reader reader(report);
  std::deque<Source> sources;                                   // places point into them
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  if (text.size() > kLargestFile) {
    sources.emplace_back(name, "", false);
    report.add(
        Place{&sources.back(), 0, 0, 1, true},
        fmt::format("the config is larger than {} bytes, the most that is read", kLargestFile), {},
        "is this the right file?");
    report.fail();
  }
  reader.read_file_text(sources.emplace_back(name, text, false));
  for (const std::string& override_text : overrides) {
    reader.read_override(sources.emplace_back("command line", override_text, true));
  }
  // Of a file that could not be read nothing is known to be missing.
  Resolved resolved;
  if (reader.readable()) resolved = resolve(reader.given(), report);
  if (!report.empty()) report.fail();
  LoadedConfig loaded{std::move(resolved.values), std::move(resolved.origins), {}};
  loaded.resolved_yaml = write_yaml(loaded.values, loaded.origins, Comments::kNone);
  return loaded;
}

LoadedConfig load(const Path& file, std::span<const std::string> overrides) {
  std::string text;
  try {
    text = read_file(file, kLargestFile + 3);
  } catch (const DataError& e) {
    throw ConfigError(e.what(), {{file.string(), 0, 0, e.what(), {}, {}}});
  }
  return load_text(text, file.string(), overrides);
}

}  // namespace ovid::config
