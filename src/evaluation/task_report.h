#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ovid::evaluation {

struct ReportTable {
  std::string title;
  std::vector<std::string> headings;
  std::string alignment;  // "l" or "r" for each column
  std::vector<std::vector<std::string>> rows;
};

// What a task found, for people and for programs.
struct TaskReport {
  std::string task;
  std::vector<std::pair<std::string, std::string>> facts;  // name and value, in order
  std::vector<ReportTable> tables;
  std::vector<std::string> notes;                            // sentences: what figures can bear
  std::vector<std::pair<std::string, std::string>> samples;  // heading and text
  std::string json;                                          // one object: all of it, and more
};

// The report for a terminal (without samples), as Markdown, and as a page without scripts or
// outside resources. Pure. What could steer a terminal, Markdown or a browser is made harmless.
std::string as_text(const TaskReport& report);
std::string as_markdown(const TaskReport& report);
std::string as_html(const TaskReport& report);

// The format that a file's name asks for: .md, .html, .json (the object and a line end), .txt.
// Throws UsageError for another name.
std::string as_file(const TaskReport& report, std::string_view name);

}  // namespace ovid::evaluation
