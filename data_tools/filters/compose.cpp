#include "data_tools/filters/compose.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "data_tools/filters/code_points.h"
#include "data_tools/filters/unicode_combining_classes.h"
#include "data_tools/filters/unicode_compositions.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::filters {

namespace {

// Hangul syllables are computed: leading consonants, vowels, trailing consonants.
constexpr char32_t kSyllables = 0xAC00, kLeading = 0x1100, kVowels = 0x1161, kTrailing = 0x11A7;
constexpr char32_t kLeadingCount = 19, kVowelCount = 21, kTrailingCount = 28;
constexpr char32_t kSyllableCount = kLeadingCount * kVowelCount * kTrailingCount;

// The tables, with what is looked up for every character as bits.
class Tables {
 public:
  static const Tables& instance() {
    static const Tables tables;
    return tables;
  }

  // Whether a line with this character may not be in canonical composition.
  bool may_change(char32_t c) const { return may_change_[c]; }

  int combining_class(char32_t c) const {
    const auto after = std::upper_bound(
        kCombiningClasses.begin(), kCombiningClasses.end(), c,
        [](char32_t value, const CombiningClassRange& range) { return value < range.first; });
    if (after == kCombiningClasses.begin()) return 0;
    const CombiningClassRange& range = *std::prev(after);
    return c <= range.last ? range.combining_class : 0;
  }

  void decompose(char32_t c, std::vector<char32_t>& out) const {
    if (c >= kSyllables && c < kSyllables + kSyllableCount) {
      const char32_t index = c - kSyllables;
      out.push_back(kLeading + index / (kVowelCount * kTrailingCount));
      out.push_back(kVowels + index / kTrailingCount % kVowelCount);
      if (index % kTrailingCount != 0) out.push_back(kTrailing + index % kTrailingCount);
      return;
    }
    const auto place = decompositions_.find(c);
    if (place == decompositions_.end()) {
      out.push_back(c);
      return;
    }
    decompose(place->second.first, out);
    if (place->second.second != 0) decompose(place->second.second, out);
  }

  // The composite of two characters, 0 where there is none.
  char32_t composite(char32_t first, char32_t second) const {
    if (first >= kLeading && first < kLeading + kLeadingCount && second >= kVowels &&
        second < kVowels + kVowelCount) {
      return kSyllables + ((first - kLeading) * kVowelCount + (second - kVowels)) * kTrailingCount;
    }
    if (first >= kSyllables && first < kSyllables + kSyllableCount &&
        (first - kSyllables) % kTrailingCount == 0 && second > kTrailing &&
        second < kTrailing + kTrailingCount) {
      return first + (second - kTrailing);
    }
    const auto place = composites_.find({first, second});
    return place == composites_.end() ? 0 : place->second;
  }

 private:
  Tables() : may_change_(0x110000) {
    for (const CombiningClassRange& range : kCombiningClasses) {
      for (char32_t c = range.first; c <= range.last; ++c) may_change_[c] = true;
    }
    for (const Singleton& singleton : kSingletons) {
      decompositions_[singleton.from] = {singleton.to, 0};
      may_change_[singleton.from] = true;
    }
    for (const Composite& excluded : kExcludedComposites) {
      decompositions_[excluded.composite] = {excluded.first, excluded.second};
      may_change_[excluded.composite] = true;
    }
    for (const Composite& composite : kPrimaryComposites) {
      decompositions_[composite.composite] = {composite.first, composite.second};
      composites_[{composite.first, composite.second}] = composite.composite;
      may_change_[composite.second] = true;
    }
    for (char32_t c = kVowels; c < kVowels + kVowelCount; ++c) may_change_[c] = true;
    for (char32_t c = kTrailing + 1; c < kTrailing + kTrailingCount; ++c) may_change_[c] = true;
  }

  std::vector<bool> may_change_;
  std::map<char32_t, std::pair<char32_t, char32_t>> decompositions_;
  std::map<std::pair<char32_t, char32_t>, char32_t> composites_;
};

bool may_change(std::string_view line, const Tables& tables) {
  for (std::size_t i = 0; i < line.size();) {
    if (static_cast<unsigned char>(line[i]) < 0xCC) {  // below U+0300: a byte of such a character
      ++i;
      continue;
    }
    const tokenizer::Utf8Step step = tokenizer::utf8_step(line, i);
    if (step.valid && tables.may_change(step.code_point)) return true;
    i += step.length;
  }
  return false;
}

// Marks behind a starter in the order of their classes; equal classes keep theirs.
void order_marks(std::vector<char32_t>& characters, const Tables& tables) {
  const auto class_of = [&](char32_t c) { return tables.combining_class(c); };
  for (auto begin = characters.begin(); begin != characters.end();) {
    if (class_of(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end =
        std::find_if(begin, characters.end(), [&](char32_t c) { return class_of(c) == 0; });
    std::stable_sort(begin, end, [&](char32_t a, char32_t b) { return class_of(a) < class_of(b); });
    begin = end;
  }
}

std::string compose_ordered(const std::vector<char32_t>& characters, const Tables& tables) {
  std::vector<char32_t> out;
  std::size_t starter = 0;
  bool has_starter = false;
  int last_class = 0;  // of what stands between the starter and here
  for (const char32_t c : characters) {
    const int combining_class = tables.combining_class(c);
    const bool is_adjacent = has_starter && out.size() == starter + 1;
    const bool is_blocked = !is_adjacent && (last_class == 0 || last_class >= combining_class);
    if (has_starter && !is_blocked) {
      if (const char32_t composite = tables.composite(out[starter], c); composite != 0) {
        out[starter] = composite;
        continue;
      }
    }
    if (combining_class == 0) {
      starter = out.size();
      has_starter = true;
    }
    last_class = combining_class;
    out.push_back(c);
  }
  std::string text;
  for (const char32_t c : out) append_utf8(c, text);
  return text;
}

std::string compose_line(std::string_view line, const Tables& tables) {
  std::vector<char32_t> characters;
  for (std::size_t i = 0; i < line.size();) {
    const tokenizer::Utf8Step step = tokenizer::utf8_step(line, i);
    tables.decompose(step.valid ? step.code_point : 0xFFFD, characters);
    i += step.length;
  }
  order_marks(characters, tables);
  return compose_ordered(characters, tables);
}

}  // namespace

std::string compose(std::string_view text, std::uint64_t& changed) {
  const Tables& tables = Tables::instance();
  std::string out;
  out.reserve(text.size());
  // A line end composes with nothing and starts anew, so lines are independent.
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end);
    if (!may_change(line, tables)) {
      out += line;
      continue;
    }
    const std::string composed = compose_line(line, tables);
    if (composed != line) ++changed;
    out += composed;
  }
  return out;
}

}  // namespace ovid::data_tools::filters
