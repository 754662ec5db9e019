#include "tests/architecture/documentation_rules.h"

#include <algorithm>
#include <cctype>
#include <regex>
#include <sstream>

namespace ovid::test {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> pages_of(const fs::path& root) {
  std::vector<fs::path> pages;
  for (const char* name : {"README.md", "kernels/README.md"}) {
    if (fs::is_regular_file(root / name)) pages.emplace_back(name);
  }
  for (const fs::path& file : files_under(root, "docs")) {
    if (has_extension(file, {".md"})) pages.push_back(file);
  }
  return pages;
}

// A line of a page and whether it stands inside a ``` block.
struct PageLine {
  std::string text;
  int number;
  bool in_code;
};

std::vector<PageLine> page_lines(const fs::path& path) {
  std::vector<PageLine> lines;
  bool in_code = false;
  int number = 0;
  for (const std::string& line : lines_of(path)) {
    ++number;
    if (line.compare(0, 3, "```") == 0) {
      in_code = !in_code;
    } else {
      lines.push_back({line, number, in_code});
    }
  }
  return lines;
}

std::vector<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
    found.push_back((*it)[1]);
  }
  return found;
}

const std::regex& code_span() {
  static const std::regex kPattern("`([^`]+)`");
  return kPattern;
}

// The anchor that a heading gets: lower case, spaces to hyphens, other punctuation dropped.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '_' || c == '-' || byte >= 128) {
      anchor += static_cast<char>(std::tolower(byte));
    } else if (c == ' ') {
      anchor += '-';
    }
  }
  return anchor;
}

bool has_anchor(const fs::path& page, const std::string& anchor) {
  for (const PageLine& line : page_lines(page)) {
    const std::size_t text = line.text.find_first_not_of('#');
    if (line.in_code || text == 0 || text == std::string::npos || line.text[text] != ' ') continue;
    if (anchor_of(line.text.substr(text + 1)) == anchor) return true;
  }
  return false;
}

std::optional<std::string> link_problem(const fs::path& root, const fs::path& page,
                                        const std::string& link) {
  static const std::regex kExternal("^[a-z]+:.*");
  if (std::regex_match(link, kExternal)) return std::nullopt;
  const std::size_t hash = link.find('#');
  const std::string file = link.substr(0, hash);
  const fs::path target = file.empty() ? root / page : (root / page).parent_path() / file;
  if (!fs::exists(target)) return "the link " + link + " leads nowhere";
  if (hash != std::string::npos && fs::is_regular_file(target) &&
      !has_anchor(target, link.substr(hash + 1))) {
    return "the link " + link + " names a heading that is not there";
  }
  return std::nullopt;
}

// Whether the span is a path below a source folder of the repository, and not a pattern or a
// command.
bool is_tree_path(const std::string& span) {
  static const std::regex kPath(
      "(kernels|src|docs|configs|tests|data_tools|cmake|benchmarks|\\.ci)/[A-Za-z0-9_./-]*");
  return std::regex_match(span, kPath) && span.find("..") == std::string::npos;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool has_word(const std::string& text, const std::string& word) {
  const std::regex pattern("(^|[^A-Za-z0-9-])" + word + "($|[^A-Za-z0-9-])");
  return std::regex_search(text, pattern);
}

// "ovid", "build/release/ovid", "$ ovid-data": the program's name, and nothing for other commands.
std::optional<std::string> program_of(const std::string& word) {
  static const std::regex kProgram("(?:\\./)?(?:build/[a-z]+/)?(ovid|ovid-data)");
  std::smatch match;
  if (!std::regex_match(word, match, kProgram)) return std::nullopt;
  return match[1];
}

Problems command_problems(const std::string& place, const std::vector<std::string>& words,
                          std::size_t first, const Help& help) {
  static const std::regex kSubcommand("[a-z][a-z-]*");
  static const std::regex kCommandList("(^|\n)[A-Za-z ]*(sub)?commands?:", std::regex::icase);
  const std::string program = *program_of(words[first]);
  Problems problems;
  std::vector<std::string> path;
  std::optional<std::string> text = help(program, path);
  bool is_done = false;
  for (std::size_t i = first + 1; i < words.size() && text; ++i) {
    const std::string& word = words[i];
    if (word == "|" || word == "&&" || word == ">" || word == "<" || word == ";" ||
        word[0] == '#') {
      break;
    }
    if (word.compare(0, 2, "--") == 0) {
      is_done = true;
      const std::string flag = word.substr(0, word.find_first_of("=,)]"));
      if (!has_word(*text, flag)) {
        problems.push_back(place + ": the help of " + program + " " +
                           (path.empty() ? "" : path.back() + " ") + "does not know " + flag);
      }
    } else if (!is_done && std::regex_match(word, kSubcommand) &&
               std::regex_search(*text, kCommandList)) {
      if (!has_word(*text, word)) {
        problems.push_back(place + ": " + program + " has no command '" + word + "'");
        return problems;
      }
      path.push_back(word);
      text = help(program, path);
    } else {
      is_done = true;  // an argument: no further word is a subcommand
    }
  }
  if (!text) {
    problems.push_back(place + ": " + program + " fails on --help of " +
                       (path.empty() ? "the program" : path.back()));
  }
  return problems;
}

}  // namespace

Problems check_links(const fs::path& root) {
  static const std::regex kLink("\\]\\(([^) ]+)\\)");
  Problems problems;
  for (const fs::path& page : pages_of(root)) {
    for (const PageLine& line : page_lines(root / page)) {
      if (line.in_code) continue;
      const std::string place = page.string() + ":" + std::to_string(line.number) + ": ";
      for (const std::string& link : matches(line.text, kLink)) {
        if (const auto problem = link_problem(root, page, link))
          problems.push_back(place + *problem);
      }
      for (const std::string& span : matches(line.text, code_span())) {
        if (is_tree_path(span) && !fs::exists(root / span)) {
          problems.push_back(place + "`" + span + "` is not in the tree");
        }
      }
    }
  }
  return problems;
}

Problems check_cited_pages(const fs::path& root) {
  static const std::regex kPage("(docs/[A-Za-z0-9_/-]+\\.md)");
  Problems problems;
  for (const char* folder : {"kernels", "src", "data_tools"}) {
    for (const fs::path& file : files_under(root, folder)) {
      if (!is_cpp(file)) continue;
      for (const std::string& page : matches(text_of(root / file), kPage)) {
        if (!fs::exists(root / page))
          problems.push_back(file.string() + " cites " + page + ", which is not there");
      }
    }
  }
  return problems;
}

Problems check_module_table(const fs::path& root, const ModuleGraph& graph) {
  static const std::regex kRow("^\\|\\s*`([a-z_/]+)`\\s*\\|([^|]*)\\|.*");
  Problems problems;
  ModuleGraph documented;
  for (const std::string& line : lines_of(root / "docs/architecture.md")) {
    std::smatch row;
    if (!std::regex_match(line, row, kRow)) continue;
    const std::string module = row[1];
    if (graph.count(module) == 0) {
      problems.push_back("docs/architecture.md has a row for " + module + ", which is no module");
      continue;
    }
    std::set<std::string>& uses = documented[module];
    for (std::string word : words_of(row[2])) {
      word.erase(
          std::remove_if(word.begin(), word.end(), [](char c) { return c == ',' || c == '`'; }),
          word.end());
      if (word != "-" && !word.empty()) uses.insert(word);
    }
  }
  const auto list = [](const std::set<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? std::string("-") : text;
  };
  for (const auto& [module, uses] : graph) {
    const auto row = documented.find(module);
    if (row == documented.end()) {
      problems.push_back("docs/architecture.md has no row for the module " + module);
    } else if (row->second != uses) {
      problems.push_back("docs/architecture.md says that " + module + " uses " + list(row->second) +
                         "; it declares " + list(uses));
    }
  }
  return problems;
}

Problems check_commands(const fs::path& root, const std::string& page, const Help& help) {
  Problems problems;
  for (const PageLine& line : page_lines(root / page)) {
    const std::string place = page + ":" + std::to_string(line.number);
    std::vector<std::string> codes =
        line.in_code ? std::vector<std::string>{line.text} : matches(line.text, code_span());
    for (const std::string& code : codes) {
      const std::vector<std::string> words = words_of(code);
      for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        const bool begins = i == 0 || words[i - 1] == "$" || words[i - 1] == "|" ||
                            words[i - 1] == "&&" || words[i - 1] == ";";
        if (!begins || !program_of(words[i])) continue;
        for (std::string& problem : command_problems(place, words, i, help)) {
          problems.push_back(std::move(problem));
        }
      }
    }
  }
  return problems;
}

}  // namespace ovid::test
