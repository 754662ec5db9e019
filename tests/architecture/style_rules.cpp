#include "tests/architecture/style_rules.h"

#include <algorithm>
#include <regex>

namespace ovid::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFolders[] = {"kernels", "src", "data_tools", "tests", "benchmarks"};

int columns_of(const std::string& line) {
  return static_cast<int>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u;  // continuation bytes of UTF-8
  }));
}

// Characters apart, so that this file does not contain what it looks for.
const std::regex& unfinished_mark() {
  static const std::regex kPattern(std::string("\\b(TO") + "DO|FIX" + "ME|X" +
                                   "XX)\\b(?!\\(#\\d+\\))");
  return kPattern;
}

const std::regex& machine_name() {
  static const std::regex kPattern(std::string("(^|[^A-Za-z0-9_.}-])/(wo") + "rk|ro" + "ot|fa" +
                                   "rm|ho" + "me)/|py" + "pi\\.org|python" + "hosted|deb\\.deb" +
                                   "ian|regis" + "try\\.npm");
  return kPattern;
}

bool is_text(const fs::path& path) {
  return is_cpp(path) || has_extension(path, {".md", ".txt", ".cmake", ".yaml", ".json", ".py",
                                              ".sh", ".svg", ".in"});
}

void check_file(const fs::path& root, const fs::path& file, Problems& problems) {
  const auto report = [&](int line, const std::string& what) {
    problems.push_back(file.string() + ":" + std::to_string(line) + ": " + what);
  };
  const std::string text = text_of(root / file);
  if (!text.empty() && text.back() != '\n') report(1, "does not end with a newline");
  // What Highway includes once for each instruction set (-inl.h) has a guard that toggles.
  const bool is_included_again = file.stem().string().ends_with("-inl");
  if (has_extension(file, {".h", ".cuh"}) && !is_included_again &&
      text.find("#pragma once") == std::string::npos) {
    report(1, "has no #pragma once");
  }
  int number = 0;
  for (const std::string& line : lines_of(root / file)) {
    ++number;
    if (columns_of(line) > kMaxColumns) {
      report(number, std::to_string(columns_of(line)) + " columns, the limit is " +
                         std::to_string(kMaxColumns));
    }
    if (line.find('\t') != std::string::npos) report(number, "a tab");
    if (!line.empty() && (line.back() == ' ' || line.back() == '\r')) {
      report(number, "white space at the line's end");
    }
    if (std::regex_search(line, unfinished_mark())) {
      report(number, "a mark of unfinished work without its issue, as in (#123)");
    }
  }
  if (number > kMaxLines) {
    report(number, "more than " + std::to_string(kMaxLines) + " lines; split the file");
  }
}

}  // namespace

Problems check_source_style(const fs::path& root) {
  Problems problems;
  for (const char* folder : kFolders) {
    for (const fs::path& file : files_under(root, folder)) {
      if (is_cpp(file)) check_file(root, file, problems);
    }
  }
  return problems;
}

Problems check_no_machine_names(const fs::path& root) {
  std::vector<fs::path> files;
  for (const char* folder :
       {"kernels", "src", "data_tools", "tests", "benchmarks", "docs", "cmake", "configs"}) {
    for (const fs::path& file : files_under(root, folder)) {
      if (is_text(file)) files.push_back(file);
    }
  }
  for (const char* name :
       {"README.md", "quickstart", "check", "CMakeLists.txt", "CMakePresets.json", ".ci/run"}) {
    if (fs::is_regular_file(root / name)) files.emplace_back(name);
  }
  Problems problems;
  for (const fs::path& file : files) {
    int number = 0;
    for (const std::string& line : lines_of(root / file)) {
      ++number;
      std::smatch match;
      if (std::regex_search(line, match, machine_name())) {
        problems.push_back(file.string() + ":" + std::to_string(number) +
                           ": names a machine: " + match.str());
      }
    }
  }
  return problems;
}

}  // namespace ovid::test
