#include "src/report/flat_config.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace ovid::report {
namespace {

constexpr std::size_t kMostKeys = 10'000;
constexpr std::size_t kMostValueBytes = 4096;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// `text` up to the comment behind it; a # within quotes is none.
std::string_view without_comment(std::string_view text) {
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '"' && c == '\\') {
      ++i;
    } else if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ')) {
      return text.substr(0, i);
    }
  }
  return text;
}

class Flattener {
 public:
  void add_line(std::string_view line) {
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const std::string_view content = trimmed(without_comment(line));
    if (content.empty()) return;
    if (content.starts_with("- ") || content == "-") return add_item(trimmed(content.substr(1)));
    const std::size_t colon = content.find(':');
    const bool is_key = colon != 0 && colon != std::string_view::npos &&
                        (colon + 1 == content.size() || content[colon + 1] == ' ');
    if (!is_key) return newest_.clear();
    const std::string name(content.substr(0, colon));
    const std::string_view value = trimmed(content.substr(colon + 1));
    if (indent == 0) section_ = value.empty() ? name + "." : "";
    newest_ = indent == 0 ? name : section_ + name;
    if (!value.empty()) set(value);
  }
  std::map<std::string, std::string> take() { return std::move(values_); }

 private:
  void set(std::string_view value) {
    if (values_.size() < kMostKeys || values_.count(newest_) != 0)
      values_[newest_] = value.substr(0, kMostValueBytes);
  }
  void add_item(std::string_view item) {
    if (newest_.empty()) return;
    const auto found = values_.find(newest_);
    if (found == values_.end()) return set("[" + std::string(item) + "]");
    std::string& list = found->second;
    if (!list.ends_with("]") || list.size() > kMostValueBytes) return;
    list.insert(list.size() - 1, ", " + std::string(item.substr(0, kMostValueBytes)));
  }

  std::string section_;  // with its dot
  std::string newest_;   // the key of the line before
  std::map<std::string, std::string> values_;
};

}  // namespace

std::map<std::string, std::string> flatten_config(std::string_view yaml) {
  Flattener flattener;
  while (!yaml.empty()) {
    const std::size_t end = std::min(yaml.find('\n'), yaml.size());
    flattener.add_line(yaml.substr(0, end));
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
  }
  return flattener.take();
}

std::string unquoted(const std::string& value) {
  const bool quoted = value.size() >= 2 && value.front() == value.back() &&
                      (value.front() == '"' || value.front() == '\'');
  return quoted ? value.substr(1, value.size() - 2) : value;
}

}  // namespace ovid::report
