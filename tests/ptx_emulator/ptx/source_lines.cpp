#include "tests/ptx_emulator/ptx/parser_state.h"

namespace ptx_emulator::ptx {
namespace {

constexpr std::uint32_t kMostFiles = 1U << 16;

std::string place(std::uint32_t file, std::uint32_t line, std::uint32_t column) {
  return std::to_string(file) + ":" + std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace

void SourceLines::read_file(Tokens& tokens, Module& module) {
  const std::uint32_t index = tokens.expect_number("the number of a file", kMostFiles);
  if (tokens.peek().kind != Token::Kind::kString) tokens.fail_expected("a file's name in quotes");
  const Token name = tokens.next();
  if (module.files.size() <= index) module.files.resize(index + 1);
  module.files[index] = name.text;
  // Optional time and size.
  while (tokens.accept(",")) tokens.expect_integer("a number");
}

void SourceLines::read_loc(Tokens& tokens, Module& module) {
  current_ = {};
  current_.source_file = tokens.expect_number("the number of a file", kMostFiles);
  current_.source_line = tokens.expect_number("a line");
  const std::uint32_t column = tokens.expect_number("a column");
  NameReference reference;
  bool inlined = false;
  Location caller;
  std::uint32_t caller_column = 0;
  while (tokens.accept(",")) {
    const Token word = tokens.expect_word("function_name or inlined_at");
    if (word.text == "function_name") {
      reference.label = tokens.expect_word("the label of a name").text;
      if (tokens.accept("+")) reference.offset = tokens.expect_integer("an offset").value;
    } else if (word.text == "inlined_at") {
      inlined = true;
      caller.source_file = tokens.expect_number("the number of a file", kMostFiles);
      caller.source_line = tokens.expect_number("a line");
      caller_column = tokens.expect_number("a column");
    } else {
      tokens.fail(word, "expected function_name or inlined_at, found " + Tokens::shown(word));
    }
  }
  if (inlined) {
    // The caller may itself be inlined code: the last .loc of its place says where.
    const std::string called_from = place(caller.source_file, caller.source_line, caller_column);
    if (const auto site = site_at_.find(called_from); site != site_at_.end()) {
      caller.inlined_at = site->second;
    }
    const std::string key = called_from + " " + std::to_string(caller.inlined_at) + " " +
                            reference.label + "+" + std::to_string(reference.offset);
    const auto [site, is_new] =
        sites_.try_emplace(key, static_cast<std::uint32_t>(module.inline_sites.size() + 1));
    if (is_new) {
      module.inline_sites.push_back({.function = {}, .location = caller});
      names_.push_back(std::move(reference));
    }
    current_.inlined_at = site->second;
  }
  site_at_[place(current_.source_file, current_.source_line, column)] = current_.inlined_at;
}

void SourceLines::read_section(Tokens& tokens) {
  const bool strings = tokens.at_dot("debug_str");
  if (tokens.peek().kind != Token::Kind::kDotWord) tokens.fail_expected("the name of a section");
  tokens.next();
  tokens.expect("{");
  if (strings) return read_strings(tokens);
  while (!tokens.at("}")) {
    if (tokens.at_end()) tokens.fail_expected("the '}' of a section");
    tokens.next();
  }
  tokens.next();
}

void SourceLines::read_strings(Tokens& tokens) {
  while (!tokens.accept("}")) {
    if (tokens.at_end()) tokens.fail_expected("the '}' of a section");
    const Token token = tokens.next();
    if (token.kind == Token::Kind::kWord) string_labels_[std::string(token.text)] = strings_.size();
    // Bytes; anything wider is no part of a name.
    if (token.kind == Token::Kind::kInteger) {
      strings_.push_back(static_cast<char>(token.value & 0xFF));
    }
  }
}

Location SourceLines::at(const Token& token) const {
  Location location = current_;
  location.line = token.line;
  location.column = token.column;
  return location;
}

void SourceLines::name_inlined_functions(Module& module) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const auto label = string_labels_.find(names_[i].label);
    if (label == string_labels_.end()) continue;
    if (names_[i].offset >= strings_.size() - label->second) continue;
    const std::size_t begin = label->second + names_[i].offset;
    module.inline_sites[i].function = strings_.substr(begin, strings_.find('\0', begin) - begin);
  }
}

}  // namespace ptx_emulator::ptx
