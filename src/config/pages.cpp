#include "src/config/pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "src/config/config.h"
#include "src/config/schema.h"
#include "src/config/suggestion.h"
#include "src/config/text.h"
#include "src/config/value.h"

namespace ovid::config {
namespace {

std::vector<const Key*> keys_of(std::string_view section) {
  std::vector<const Key*> keys;
  if (section.empty()) keys.push_back(&include_key());
  for (const Key& key : schema()) {
    if (split_path(key.path).first == section) keys.push_back(&key);
  }
  return keys;
}

// Text in lines of at most 96 columns, each behind `indent` spaces.
std::string wrapped(std::string_view text, std::size_t indent) {
  constexpr std::size_t kWidth = 96;
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (column > 0 && indent + column + 1 + word.size() > kWidth) {
      out += '\n';
      column = 0;
    }
    out += column == 0 ? std::string(indent, ' ') : " ";
    column += word.size() + (column == 0 ? 0 : 1);
    out += word;
  }
  return out + "\n";
}

std::string key_entry(const Key& key) {
  return fmt::format("{}  [{}; default: {}]\n{}", key.path, describe_type(key),
                     describe_default(key), wrapped(key.documentation, 4));
}

std::string section_entry(const Section& section) {
  std::string out =
      wrapped(section.name.empty() ? std::string(section.documentation)
                                   : fmt::format("{}: {}", section.name, section.documentation),
              0);
  for (const Key* key : keys_of(section.name)) out += "\n" + key_entry(*key);
  return out;
}

// A table cell: a bar would end it.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

}  // namespace

Explained find_explained(std::string_view key_or_section) {
  Explained found;
  if (const Section* named = find_section(key_or_section)) {
    found.sections.push_back(named);
  } else if (key_or_section.empty()) {
    for (const Section& each : sections()) found.sections.push_back(&each);
  } else if (const Key* key =
                 key_or_section == include_key().path ? &include_key() : find_key(key_or_section)) {
    found.keys.push_back(key);
  } else {
    const auto [section, name] = split_path(key_or_section);
    const bool known_section = section.empty() || find_section(section) != nullptr;
    const std::string suggestion =
        suggest_key(known_section ? section : "", known_section ? name : section);
    throw UsageError(
        fmt::format("unknown key {}; {}", in_backquotes(key_or_section),
                    suggestion.empty() ? "`ovid config explain` lists all keys" : suggestion));
  }
  for (const Section* each : found.sections) {
    for (const Key* key : keys_of(each->name)) found.keys.push_back(key);
  }
  return found;
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const Section& section : sections()) {
    if (!section.name.empty()) names.emplace_back(section.name);
  }
  return names;
}

std::vector<std::string> top_level_names() {
  std::vector<std::string> names;
  for (const Key* key : keys_of("")) names.emplace_back(key->path);
  return names;
}

Value shown_value(const Key& key, const RunConfig& values,
                  const std::map<std::string, std::string>& origins) {
  const bool left_open =
      key.nullable && values.initialize_from && origins.at(std::string(key.path)) == "default";
  return left_open ? Value(std::monostate{}) : key.get(values);
}

std::string write_yaml(const RunConfig& values, const std::map<std::string, std::string>& origins,
                       Comments comments) {
  constexpr std::size_t kCommentColumn = 44;
  std::string out;
  std::string_view section;
  for (const Key& key : schema()) {
    const auto [home, name] = split_path(key.path);
    if (!home.empty() && home != section) out += fmt::format("{}:\n", home);
    section = home;
    const std::string& origin = origins.at(std::string(key.path));
    std::string line = fmt::format("{}{}: {}", home.empty() ? "" : "  ", name,
                                   to_yaml(shown_value(key, values, origins)));
    if (comments == Comments::kOrigins) {
      const std::size_t width = count_characters(line);
      line += std::string(width + 2 > kCommentColumn ? 2 : kCommentColumn - width, ' ');
      line += "# " + printable(origin);
    }
    out += line + "\n";
  }
  return out;
}

std::string show(const LoadedConfig& config) {
  return write_yaml(config.values, config.origins, Comments::kOrigins);
}

std::string explain(std::string_view key_or_section) {
  const Explained found = find_explained(key_or_section);
  if (found.sections.empty()) return key_entry(*found.keys.front());
  std::string out;
  for (const Section* section : found.sections)
    out += (out.empty() ? "" : "\n") + section_entry(*section);
  return out;
}

std::string reference_markdown() {
  std::string out =
      "# Configuration\n\n"
      "A run is described by one YAML file, and `key=value` on the command line overrides it "
      "(`optimizer.learning_rate=1e-3`). This page is made by `ovid config reference`; `ovid "
      "config explain KEY` shows one entry of it, and `ovid config show FILE` the values of a "
      "config with the origin of each (both also with `--json`).\n\n"
      "Numbers are decimal: a leading zero, `0x`, units and digits grouped by `_` are refused, and "
      "so is every key that is not below. Integers may end in `k`, `M` or `G` (thousand, million, "
      "thousand million) or `Ki`, `Mi` or `Gi` (1024, its square, its cube): `10k` is 10000. YAML "
      "anchors, aliases and tags are not read. Relative paths start at the working directory, but "
      "for those of `include`. `null` is the same as leaving the key out, and takes back what an "
      "included file says.\n\n"
      "All mistakes of a config are told at once; [the last section](#typical-mistakes) shows some "
      "messages.\n";
  for (const Section& section : sections()) {
    out += section.name.empty() ? std::string("\n## Top level\n")
                                : fmt::format("\n## `{}`\n", section.name);
    out += fmt::format("\n{}\n\n| key | type and range | default | meaning |\n|---|---|---|---|\n",
                       section.documentation);
    for (const Key* key : keys_of(section.name)) {
      const bool literal = !key->required && key->default_rule.empty();
      out += fmt::format(
          "| `{}` | {} | {} | {} |\n", key->path, cell(describe_type(*key)),
          literal ? fmt::format("`{}`", describe_default(*key)) : describe_default(*key),
          cell(key->documentation));
    }
  }
  return out + "\n## Typical mistakes\n\nTen mistakes, and what the program says of each.\n" +
         typical_mistakes_markdown();
}

}  // namespace ovid::config
