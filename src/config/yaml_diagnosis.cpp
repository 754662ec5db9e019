#include "src/config/yaml_diagnosis.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "src/config/schema.h"
#include "src/config/suggestion.h"
#include "src/config/text.h"

namespace ovid::config {
namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != kNowhere;
}

std::size_t indentation(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  return first == kNowhere ? line.size() : first;
}

bool is_blank(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == kNowhere || line[first] == '#';
}

// Where a colon parts a key from a value, from `from` on: before a space or the line's end.
std::size_t find_colon(std::string_view line, std::size_t from = 0) {
  for (std::size_t at = line.find(':', from); at != kNowhere; at = line.find(':', at + 1)) {
    if (at + 1 == line.size() || line[at + 1] == ' ') return at;
  }
  return kNowhere;
}

std::string_view last_word(std::string_view text) {
  const std::size_t end = text.find_last_not_of(' ');
  if (end == kNowhere) return {};
  text = text.substr(0, end + 1);
  const std::size_t space = text.find_last_of(" {,");
  return space == kNowhere ? text : text.substr(space + 1);
}

bool is_last_part_of_a_key(std::string_view word) {
  const auto keys = schema();
  return std::any_of(keys.begin(), keys.end(),
                     [&](const Key& key) { return split_path(key.path).second == word; });
}

// Brackets and quotes that are open at a place. A quote or bracket counts where a value can begin:
// in the middle of a plain text both are letters.
struct Opened {
  std::vector<Place> brackets;
  std::optional<Place> quote;
};

class Scanner {
 public:
  Scanner(const Source& source, std::size_t begin) : source_(source), begin_(begin) {}

  // What is open before byte `column` of `line`.
  Opened scan(std::size_t line, std::size_t column) {
    for (std::size_t i = 0; i <= line && i < source_.lines.size(); ++i) {
      const std::string_view text = source_.lines[i];
      scan_line(i, i == line ? text.substr(0, column) : text, i == 0 ? begin_ : 0);
    }
    return {std::move(brackets_), quote_};
  }

 private:
  void scan_line(std::size_t number, std::string_view text, std::size_t from) {
    bool value_begins = true;
    for (std::size_t at = from; at < text.size(); ++at) {
      const char c = text[at];
      const bool behind_space = at == from || text[at - 1] == ' ';
      if (quote_) {
        at = close_quote(text, at);
        value_begins = false;
      } else if (c == '#' && behind_space) {
        return;
      } else if ((c == '"' || c == '\'') && value_begins) {
        quote_ = Place{&source_, number, at};
      } else if ((c == '[' || c == '{') && (value_begins || !brackets_.empty())) {
        brackets_.push_back({&source_, number, at});
        value_begins = true;
      } else if ((c == ']' || c == '}') && !brackets_.empty()) {
        brackets_.pop_back();
        value_begins = false;
      } else if (c == ',' && !brackets_.empty()) {
        value_begins = true;
      } else if (c == ' ') {
        const char before = at > from ? text[at - 1] : ' ';
        value_begins =
            value_begins || before == ':' || (before == '-' && indentation(text) + 1 == at);
      } else {
        value_begins = false;
      }
    }
  }

  // The byte at which the quote ends, or the last one of the line.
  std::size_t close_quote(std::string_view text, std::size_t at) {
    const char mark = source_.lines[quote_->line][quote_->column];
    for (; at < text.size(); ++at) {
      if (mark == '"' && text[at] == '\\') {
        ++at;
      } else if (text[at] == mark && mark == '\'' && text.substr(at + 1).starts_with('\'')) {
        ++at;
      } else if (text[at] == mark) {
        quote_.reset();
        return at;
      }
    }
    return text.size() - 1;
  }

  const Source& source_;
  std::size_t begin_;
  std::vector<Place> brackets_;
  std::optional<Place> quote_;
};

class Diagnostician {
 public:
  Diagnostician(const Source& source, std::size_t begin, const Place& stopped,
                std::string_view reason)
      : source_(source), begin_(begin), stopped_(stopped), reason_(reason) {}

  Diagnosis run() {
    if (const auto foreign = foreign_comment()) return *foreign;
    if (contains(reason_, "unknown escape")) {
      // The library stops behind the letter that follows the backslash.
      const std::size_t back = std::min<std::size_t>(2, stopped_.column);
      return {{&source_, stopped_.line, stopped_.column - back, 2},
              "this is no escape of a text in double quotes",
              "write \\\\ for a backslash",
              "or put the text in single quotes"};
    }
    Opened opened = Scanner(source_, begin_).scan(stopped_.line, stopped_.column);
    if (opened.brackets.empty() && !opened.quote && contains(reason_, "flow not found")) {
      // At the end of the file the library may forget where it was.
      stopped_ = {&source_, source_.lines.size() - 1, source_.lines.back().size()};
      opened = Scanner(source_, begin_).scan(stopped_.line, stopped_.column);
    }
    if (opened.quote) return unclosed_quote(*opened.quote);
    if (contains(reason_, "unknown token")) {
      return {stopped_,
              fmt::format("a text cannot begin with {} here", in_backquotes(letter())),
              "put it in quotes",
              {}};
    }
    if (contains(reason_, "illegal block entry")) {
      return {stopped_,
              "a list entry stands where none can",
              "a list in a line has brackets: [a, b]",
              {}};
    }
    if (contains(reason_, "illegal flow end")) return wrong_end(opened);
    if (!opened.brackets.empty()) return unclosed_bracket(opened.brackets.back());
    if (contains(reason_, "illegal map value")) return wrong_colon();
    if (contains(reason_, "end of map not found") || contains(reason_, "end of sequence not found"))
      return wrong_indentation();
    return {stopped_, fmt::format("this is not YAML: {}", printable(reason_)), {}, {}};
  }

 private:
  std::string_view line() const { return source_.lines[stopped_.line]; }
  std::string_view letter() const {
    return line().substr(std::min(stopped_.column, line().size()), 1);
  }

  Place whole_line(std::size_t number) const {
    const std::string_view text = source_.lines[number];
    const std::size_t first = indentation(text);
    return {&source_, number, first, std::max<std::size_t>(1, text.size() - first)};
  }

  std::optional<std::size_t> line_above(std::size_t number) const {
    while (number > 0) {
      if (!is_blank(source_.lines[--number])) return number;
    }
    return std::nullopt;
  }

  std::optional<Diagnosis> foreign_comment() const {
    for (std::size_t i = 0; i <= stopped_.line; ++i) {
      const std::string_view text = source_.lines[i].substr(indentation(source_.lines[i]));
      for (const std::string_view mark : {"//", ";", "/*"}) {
        if (!text.starts_with(mark)) continue;
        return Diagnosis{{&source_, i, indentation(source_.lines[i]), mark.size()},
                         fmt::format("`{}` begins no comment in YAML", mark),
                         "write `#`",
                         {}};
      }
    }
    return std::nullopt;
  }

  Diagnosis unclosed_quote(const Place& quote) const {
    return {quote,
            "the quote that begins here is never closed",
            {},
            "a quote within a text in single quotes is written twice: 'it''s'"};
  }

  Diagnosis wrong_end(const Opened& opened) const {
    if (opened.brackets.empty())
      return {stopped_, fmt::format("{} closes nothing", in_backquotes(letter())), "remove it", {}};
    const Place& open = opened.brackets.back();
    const char bracket = source_.lines[open.line][open.column];
    return {stopped_,
            fmt::format("{} stands where the `{}` of line {}, column {}, is still open",
                        in_backquotes(letter()), bracket, open.line + 1, open.column + 1),
            fmt::format("a `{}` is missing", bracket == '[' ? ']' : '}'),
            {}};
  }

  // In brackets: a second colon, letters behind a quote, a new line of keys, the end of the file.
  Diagnosis unclosed_bracket(const Place& open) const {
    const char bracket = source_.lines[open.line][open.column];
    if (letter() == ":" && stopped_.line == open.line && bracket == '{' &&
        find_colon(line(), open.column) < stopped_.column) {
      return second_colon();
    }
    const std::size_t at = std::min(stopped_.column, line().size());
    if (at > 0 && stopped_.line == open.line && line()[at - 1] == '\'' && at < line().size()) {
      return {stopped_,
              "letters follow the end of a text in quotes",
              {},
              "a quote within a text in single quotes is written twice: 'it''s'"};
    }
    const bool at_the_end = stopped_.line + 1 >= source_.lines.size() && at == line().size();
    return {open, fmt::format("the `{}` that begins here is never closed", bracket),
            fmt::format("a `{}` is missing", bracket == '[' ? ']' : '}'),
            at_the_end ? std::string()
                       : fmt::format("line {} reads like the next key", stopped_.line + 1)};
  }

  Diagnosis second_colon() const {
    const std::string_view before = line().substr(0, stopped_.column);
    const std::string_view name =
        line().substr(indentation(line()), find_colon(line()) - indentation(line()));
    const std::string_view word = last_word(before);
    if (find_section(name) != nullptr && !contains(before, "{")) {
      return {stopped_, fmt::format("a second `:` in the line of `{}`", name),
              "write the key below, indented",
              fmt::format("or in braces: `{}: {{{}: ...}}`", name, printable(word))};
    }
    if (is_last_part_of_a_key(word)) {
      return {stopped_,
              fmt::format("a second key, `{}`, stands in this line", word),
              contains(before, "{") ? "a comma is missing before it" : "one key a line",
              {}};
    }
    return {stopped_, "a second `:` in this value", "put the value in quotes",
            "a colon and a space part a key from its value"};
  }

  Diagnosis wrong_colon() const {
    if (find_colon(line()) < stopped_.column) return second_colon();
    const std::optional<std::size_t> above = line_above(stopped_.line);
    if (!above) return {stopped_, "a key is missing before this `:`", {}, {}};
    const std::string_view text = source_.lines[*above];
    if (find_colon(text) == kNowhere) return line_without_key(*above);
    return {whole_line(stopped_.line),
            fmt::format("this line is indented like a part of line {}, which has a value already",
                        *above + 1),
            fmt::format("indent it by {}, not {}", indentation(text), indentation(line())),
            {}};
  }

  Diagnosis line_without_key(std::size_t number) const {
    std::string_view text = source_.lines[number];
    text = text.substr(indentation(text));
    text = text.substr(0, text.find_last_not_of(' ') + 1);
    std::string label;
    for (const Section& section : sections()) {
      if (std::string parted = suggest_parting(section.name, text); !parted.empty()) {
        label = fmt::format("write `{}`", printable(parted));
      }
    }
    const std::string_view word = text.substr(0, text.find_first_of(" {["));
    if (find_section(word) != nullptr) label = fmt::format("write `{}:`", word);
    return {whole_line(number), "this line is no `key: value`", label,
            "a colon and a space part a key from its value"};
  }

  Diagnosis wrong_indentation() const {
    const std::size_t indent = indentation(line());
    if (indent != stopped_.column) {
      return {{&source_, stopped_.line, stopped_.column, line().size() - stopped_.column},
              "these letters belong to no key",
              "remove them, or begin a line",
              {}};
    }
    std::string levels;
    std::size_t least = indent + 1000;
    for (std::optional<std::size_t> i = line_above(stopped_.line); i; i = line_above(*i)) {
      const std::size_t above = indentation(source_.lines[*i]);
      if (above >= least) continue;
      least = above;
      levels = levels.empty() ? fmt::format("{}", above) : fmt::format("{} or {}", above, levels);
    }
    if (line().substr(indent).starts_with("- ")) {
      return {whole_line(stopped_.line),
              "a list entry stands where a key is expected",
              "indent it like the entries above, below a key without a value",
              {}};
    }
    return {whole_line(stopped_.line),
            fmt::format("this line's indentation of {} fits none of the lines above", indent),
            fmt::format("indent it by {}", levels),
            {}};
  }

  const Source& source_;
  std::size_t begin_;
  Place stopped_;
  std::string_view reason_;
};

}  // namespace

Diagnosis diagnose(const Source& source, std::size_t begin, const Place& stopped,
                   std::string_view reason) {
  return Diagnostician(source, begin, stopped, reason).run();
}

bool quote_is_closed(const Source& source, const Place& place) {
  const std::string_view line = source.lines[place.line];
  if (place.column >= line.size()) return true;
  const char mark = line[place.column];
  if (mark != '"' && mark != '\'') return true;
  const std::string_view text = source.text;
  std::size_t at = static_cast<std::size_t>(line.data() - text.data()) + place.column + 1;
  for (; at < text.size(); ++at) {
    if (mark == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == mark) {
      if (mark != '\'' || at + 1 >= text.size() || text[at + 1] != mark) return true;
      ++at;
    }
  }
  return false;
}

}  // namespace ovid::config
