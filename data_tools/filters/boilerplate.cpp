#include "data_tools/filters/boilerplate.h"

#include <algorithm>
#include <span>
#include <unordered_map>
#include <vector>

#include "data_tools/filters/boilerplate_phrases.h"
#include "src/core/checksum.h"

namespace ovid::data_tools::filters {

namespace {

constexpr std::size_t kLongestFrameLine = 200;
constexpr std::size_t kLongestRepeatedLine = 100;
constexpr std::uint64_t kOccurrencesKept = 2;
// Above this share of the lines repetition is the text's own form: verse, scripts, logs.
constexpr double kRepetitionByForm = 0.1;
constexpr std::string_view kCopyrightSign = "\xc2\xa9";

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Bytes of an ASCII character, or of one of U+0080 to U+00BF or U+2000 to U+2FFF, at the text's
// beginning that is neither letter nor digit: bullets, quotation marks, arrows. 0 for others.
std::size_t leading_mark(std::string_view text) {
  if (text.empty() || is_digit(text[0])) return 0;
  if (text[0] == '\xc2') return 2;
  if (text[0] == '\xe2') return 3;
  return is_letter(text[0]) ? 0 : 1;
}

std::size_t trailing_mark(std::string_view text) {
  for (const std::size_t length : {3u, 2u, 1u}) {
    if (length <= text.size() && leading_mark(text.substr(text.size() - length)) == length) {
      return length;
    }
  }
  return 0;
}

// In lower case, one space for each run of them, without bullets, brackets and punctuation at both
// ends.
std::string plain_line(std::string_view line) {
  while (const std::size_t length = leading_mark(line)) {
    line.remove_prefix(std::min(length, line.size()));
  }
  while (const std::size_t length = trailing_mark(line)) line.remove_suffix(length);
  std::string plain;
  for (const char c : line) {
    const bool is_space = c == ' ' || c == '\t';
    if (is_space && plain.back() == ' ') continue;  // the line begins with something else
    plain += is_space ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return plain;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Takes the next word of `text`, empty at its end.
std::string_view take_word(std::string_view& text, std::string_view separators) {
  const std::size_t begin = std::min(text.find_first_not_of(separators), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(separators));
  text.remove_prefix(word.size());
  return word;
}

bool is_listed(std::span<const std::string_view> words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// All phrases by their first byte, in the order of kPhrases.
class PhraseIndex {
 public:
  static const PhraseIndex& instance() {
    static const PhraseIndex index;
    return index;
  }
  LineKind find(std::string_view plain) const {
    for (const Entry& entry : by_first_[static_cast<unsigned char>(plain.front())]) {
      if (entry.longest == 0 ? plain == entry.phrase
                             : plain.size() <= entry.longest && plain.starts_with(entry.phrase)) {
        return entry.kind;
      }
    }
    return LineKind::kText;
  }

 private:
  struct Entry {
    std::string_view phrase;
    LineKind kind;
    std::size_t longest;  // 0: the whole line is the phrase
  };
  PhraseIndex() {
    for (const Phrases& phrases : kPhrases) {
      for (const std::string_view whole : phrases.whole) add({whole, phrases.kind, 0});
      for (const std::string_view beginning : phrases.beginnings) {
        add({beginning, phrases.kind, phrases.longest});
      }
    }
  }
  void add(const Entry& entry) {
    by_first_[static_cast<unsigned char>(entry.phrase.front())].push_back(entry);
  }
  std::array<std::vector<Entry>, 256> by_first_;
};

// "Facebook Twitter Google+ Email": networks and words of sharing alone.
bool is_row_of_networks(std::string_view plain) {
  bool has_network = false;
  for (;;) {
    const std::string_view word = take_word(plain, " |/,");
    if (word.empty()) return has_network;
    if (is_listed(kNetworks, word)) {
      has_network = true;
    } else if (!is_listed(kSharingWords, word)) {
      return false;
    }
  }
}

// "Home > World > Europe", "News | Sports | Opinion | Contact": three separators and more (two for
// a line that begins with "home"), between at most three words each, and no digit, which a row of
// a table would have.
bool is_menu(std::string_view line, std::string_view plain) {
  if (line.find_first_of("|>/\xc2") == std::string_view::npos) return false;
  if (std::any_of(line.begin(), line.end(), is_digit)) return false;
  const std::size_t needed = plain.starts_with("home") ? 3 : 4;
  for (const std::string_view separator : {" | ", " > ", " \xc2\xbb ", " \xc2\xb7 ", " / "}) {
    std::size_t parts = 1;
    std::size_t longest = 0;
    std::size_t words = 1;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line.compare(i, separator.size(), separator) == 0) {
        ++parts;
        words = 1;
        i += separator.size() - 1;
      } else if (line[i] == ' ') {
        ++words;
      }
      longest = std::max(longest, words);
    }
    if (parts >= needed && longest <= 3) return true;
  }
  return false;
}

// "page 2 of 7", "12 comments", "no comments".
bool is_counter(std::string_view plain) {
  const auto is_number = [](std::string_view word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), is_digit);
  };
  const std::string_view first = take_word(plain, " ");
  if (first != "page" && first != "no" && !is_number(first)) return false;
  const std::string_view second = take_word(plain, " ");
  if (first == "page") {
    const std::string_view of = take_word(plain, " ");
    const std::string_view last = take_word(plain, " ");
    return is_number(second) && of == "of" && is_number(last) && plain.empty();
  }
  return (second == "comments" || second == "comment") && plain.empty();
}

bool is_copyright(std::string_view line, std::string_view plain) {
  if (plain.starts_with("copyright \xc2\xa9") || plain.starts_with("copyright (c)") ||
      contains(plain, "all rights reserved")) {
    return true;
  }
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos) return false;
  std::string_view rest = line.substr(first);
  if (rest.starts_with(kCopyrightSign)) {
    rest.remove_prefix(kCopyrightSign.size());
  } else if (rest.starts_with("(c)") || rest.starts_with("(C)")) {
    rest.remove_prefix(3);
  } else {
    return false;
  }
  // A year behind the sign: "(c) the third clause" is text.
  const std::size_t digit = rest.find_first_not_of(' ');
  return digit != std::string_view::npos && is_digit(rest[digit]);
}

// Blank lines as they are, but one where several meet.
class Lines {
 public:
  explicit Lines(std::size_t bytes) { text_.reserve(bytes); }
  void blank() { blank_ = true; }
  void add(std::string_view line) {
    if (!text_.empty()) text_ += blank_ ? "\n\n" : "\n";
    text_ += line;
    blank_ = false;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  bool blank_ = false;
};

bool may_repeat(std::string_view line) {
  return line.size() <= kLongestRepeatedLine && std::any_of(line.begin(), line.end(), is_letter);
}

}  // namespace

std::string_view name_of(LineKind kind) {
  static constexpr std::array<std::string_view, kLineKinds> kNames = {
      "text",       "consent",   "sharing", "subscription", "advertisement",
      "navigation", "copyright", "script",  "repeated",
  };
  return kNames.at(static_cast<std::size_t>(kind));
}

LineKind kind_of_line(std::string_view line) {
  if (line.size() > kLongestFrameLine) return LineKind::kText;
  const std::string plain = plain_line(line);
  if (plain.empty()) return LineKind::kText;
  const LineKind listed = PhraseIndex::instance().find(plain);
  if (listed != LineKind::kText) return listed;
  if (is_row_of_networks(plain)) return LineKind::kSharing;
  if (is_menu(line, plain) || is_counter(plain)) return LineKind::kNavigation;
  if (is_copyright(line, plain)) return LineKind::kCopyright;
  const bool may_be_script = contains(plain, "javascript") || contains(plain, "your browser");
  const bool is_script =
      may_be_script && std::any_of(std::begin(kScriptParts), std::end(kScriptParts),
                                   [&](std::string_view part) { return contains(plain, part); });
  return is_script ? LineKind::kScript : LineKind::kText;
}

WithoutBoilerplate remove_boilerplate(std::string_view text) {
  struct Line {
    std::string_view text;
    LineKind kind;
  };
  std::vector<Line> lines;
  std::unordered_map<std::uint64_t, std::uint64_t> occurrences;
  std::uint64_t repeated = 0;
  std::uint64_t all = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    Line entry{line, line.empty() ? LineKind::kText : kind_of_line(line)};
    if (entry.kind == LineKind::kText && may_repeat(line) &&
        ++occurrences[hash64(std::as_bytes(std::span(line)))] > kOccurrencesKept) {
      entry.kind = LineKind::kRepeated;
      ++repeated;
    }
    all += line.empty() ? 0 : 1;
    lines.push_back(entry);
  }
  const bool keeps_repeated =
      static_cast<double>(repeated) > kRepetitionByForm * static_cast<double>(all);
  WithoutBoilerplate result;
  std::size_t bytes = 0;
  for (const Line& line : lines) bytes += line.text.size() + 1;
  Lines kept(bytes);
  for (Line& line : lines) {
    if (line.text.empty()) {
      kept.blank();
      continue;
    }
    if (line.kind == LineKind::kRepeated && keeps_repeated) line.kind = LineKind::kText;
    ++result.lines[static_cast<std::size_t>(line.kind)];
    if (line.kind == LineKind::kText) kept.add(line.text);
  }
  result.text = kept.take();
  return result;
}

}  // namespace ovid::data_tools::filters
