#include "tests/ptx_emulator/tool/form_match.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>

namespace ptx_emulator::tool {
namespace {

// The place of the brace that closes the one at the start; npos where there is none.
std::size_t closing_brace(std::string_view form) {
  int depth = 0;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] == '{') ++depth;
    if (form[i] == '}' && --depth == 0) return i;
  }
  return std::string_view::npos;
}

// The first of the words that commas outside of braces separate.
std::string_view first_word(std::string_view words) {
  int depth = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == '{') ++depth;
    if (words[i] == '}') --depth;
    if (words[i] == ',' && depth == 0) return words.substr(0, i);
  }
  return words;
}

// Where the first form of an entry ends: commas within a remark do not end it.
std::size_t end_of_form(std::string_view entry) {
  int depth = 0;
  for (std::size_t i = 0; i < entry.size(); ++i) {
    if (entry[i] == '(' || entry[i] == '{') ++depth;
    if (entry[i] == ')' || entry[i] == '}') --depth;
    if (entry[i] == '\n' || (depth == 0 && entry.substr(i, 2) == ", ")) return i;
  }
  return entry.size();
}

// Length of the placeholder at the start of a form; 0 where there is none.
std::size_t placeholder(std::string_view form) {
  for (const std::string_view name : {".type", ".scope", ".sem", ".cache", ".shape"}) {
    const bool here = form.substr(0, name.size()) == name;
    if (here &&
        (form.size() == name.size() || form[name.size()] == '.' || form[name.size()] == '{')) {
      return name.size();
    }
  }
  return 0;
}

// What is left of an instruction behind one word; the dot before it goes along.
std::string_view behind_word(std::string_view instruction) {
  const std::size_t begin = !instruction.empty() && instruction[0] == '.' ? 1 : 0;
  return instruction.substr(std::min(instruction.find('.', begin), instruction.size()));
}

std::string_view behind_number(std::string_view instruction) {
  return instruction.substr(
      std::min(instruction.find_first_not_of("0123456789"), instruction.size()));
}

}  // namespace

bool form_matches(std::string_view form, std::string_view instruction) {
  while (!form.empty() && form[0] != '{') {
    if (form[0] == ' ') return instruction.empty() || instruction[0] == '.';
    if (const std::size_t length = placeholder(form); length > 0) {
      if (instruction.empty() || instruction[0] != '.') return false;
      instruction = behind_word(instruction);
      form.remove_prefix(length);
      continue;
    }
    if (instruction.empty()) return false;
    if (form[0] == '*') {
      instruction = behind_word(instruction);
    } else {
      if (form[0] != instruction[0]) return false;
      instruction.remove_prefix(1);
    }
    form.remove_prefix(1);
  }
  if (form.empty()) return instruction.empty();
  const std::size_t close = closing_brace(form);
  if (close == std::string_view::npos) return false;
  std::string_view words = form.substr(1, close - 1);
  const std::string_view rest = form.substr(close + 1);
  const bool optional = !words.empty() && (words[0] == '.' || words[0] == ':');
  if (optional && form_matches(rest, instruction)) return true;
  while (true) {
    const std::string_view word = first_word(words);
    const bool range = word.find("..") != std::string_view::npos;
    if (range ? form_matches(rest, behind_number(instruction))
              : form_matches(std::string(word) + std::string(rest), instruction)) {
      return true;
    }
    if (word.size() == words.size()) return false;
    words.remove_prefix(word.size() + 1);
    while (!words.empty() && words[0] == ' ') words.remove_prefix(1);
  }
}

std::vector<std::string> forms_of_entry(std::string_view entry) {
  if (const std::size_t colon = entry.find(": "); colon < entry.find_first_of("{.\n(")) {
    entry.remove_prefix(colon + 2);
  }
  std::vector<std::string> forms;
  while (!entry.empty()) {
    const std::size_t end = end_of_form(entry);
    if (end > 0) forms.emplace_back(entry.substr(0, end));
    entry.remove_prefix(end);
    while (!entry.empty() && (entry[0] == '\n' || entry[0] == ',' || entry[0] == ' ')) {
      entry.remove_prefix(1);
    }
  }
  return forms;
}

}  // namespace ptx_emulator::tool
