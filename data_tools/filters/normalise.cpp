#include "data_tools/filters/normalise.h"

#include <algorithm>

#include "data_tools/filters/compose.h"
#include "data_tools/filters/mojibake.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools::filters {

namespace {

enum class Treatment { kKeep, kLineEnd, kControl, kZeroWidth, kSpace };

Treatment treatment_of(char32_t c) {
  if (c < 0x20) {
    if (c == '\n' || c == '\t') return Treatment::kKeep;
    // A form feed parts pages: to drop it would join two words.
    return c == '\r' || c == '\v' || c == '\f' ? Treatment::kLineEnd : Treatment::kControl;
  }
  if (c < 0x7F) return Treatment::kKeep;
  if (c == 0x85 || c == 0x2028 || c == 0x2029) return Treatment::kLineEnd;
  if (c < 0xA0) return Treatment::kControl;
  if (c == 0xAD || c == 0x200B || c == 0x2060 || c == 0xFEFF) return Treatment::kZeroWidth;
  const bool is_space = c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F ||
                        c == 0x205F || c == 0x3000;
  return is_space ? Treatment::kSpace : Treatment::kKeep;
}

// Line ends, controls, zero-width characters and spaces of UTF-8.
std::string plain_characters(std::string_view text, NormaliseCounts& counts) {
  std::string out;
  out.reserve(text.size());
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte >= 0x20 && byte < 0x7F) || byte == '\n' || byte == '\t') {
      ++i;
      continue;
    }
    const tokenizer::Utf8Step step = tokenizer::utf8_step(text, i);
    const Treatment treatment = treatment_of(step.code_point);
    const std::size_t begin = i;
    i += step.length;
    if (treatment == Treatment::kKeep) continue;
    out += text.substr(copied, begin - copied);
    switch (treatment) {
      case Treatment::kLineEnd:
        if (byte == '\r' && i < text.size() && text[i] == '\n') ++i;
        out += '\n';
        ++counts.line_ends;
        break;
      case Treatment::kSpace:
        out += ' ';
        ++counts.spaces;
        break;
      case Treatment::kControl:
        ++counts.control;
        break;
      default:
        ++counts.zero_width;
    }
    copied = i;
  }
  out += text.substr(copied);
  return out;
}

std::string tidy_lines(std::string_view text, NormaliseCounts& counts) {
  std::string out;
  out.reserve(text.size());
  std::uint64_t blank = 0;  // lines since the last one that is not
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t length = line.find_last_not_of(" \t") + 1;  // npos + 1 is 0
    counts.trailing_spaces += line.size() - length;
    if (length == 0) {
      ++blank;
      continue;
    }
    if (out.empty()) {
      counts.blank_lines += blank;
    } else {
      out += blank > 0 ? "\n\n" : "\n";
      counts.blank_lines += blank > 1 ? blank - 1 : 0;
    }
    out += line.substr(0, length);
    blank = 0;
  }
  counts.blank_lines += blank;
  return out;
}

std::string normalise_once(std::string text, NormaliseCounts& counts) {
  for (std::uint64_t before = ~std::uint64_t{0}; before != counts.mojibake;) {
    before = counts.mojibake;
    if (text.find('\xC3') != std::string::npos) text = repair_mojibake(text, counts.mojibake);
  }
  return tidy_lines(compose(plain_characters(text, counts), counts.composed), counts);
}

}  // namespace

void NormaliseCounts::add(const NormaliseCounts& other) {
  invalid_utf8 += other.invalid_utf8;
  mojibake += other.mojibake;
  line_ends += other.line_ends;
  control += other.control;
  zero_width += other.zero_width;
  spaces += other.spaces;
  trailing_spaces += other.trailing_spaces;
  blank_lines += other.blank_lines;
  composed += other.composed;
}

NormalisedText normalise(std::string_view text) {
  NormalisedText result;
  NormaliseCounts& counts = result.counts;
  if (tokenizer::find_invalid_utf8(text)) {
    tokenizer::ReplacedText replaced = tokenizer::replace_invalid_utf8(text);
    result.text = std::move(replaced.text);
    counts.invalid_utf8 = replaced.replacements;
  } else {
    result.text = text;
  }
  // A character that is dropped may have stood between two that are mojibake together, and what is
  // composed may be the start of some. Each further pass makes the text shorter.
  for (std::uint64_t before = ~std::uint64_t{0};;) {
    result.text = normalise_once(std::move(result.text), counts);
    const std::uint64_t now =
        counts.mojibake + counts.control + counts.zero_width + counts.composed;
    if (now == 0 || now == before) return result;
    before = now;
  }
}

}  // namespace ovid::data_tools::filters
