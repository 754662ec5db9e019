#include "src/evaluation/task_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/config/text.h"
#include "src/core/error.h"
#include "src/report/html.h"
#include "src/report/report_style.h"
#include "src/report/text_table.h"

namespace ovid::evaluation {
namespace {

// Breaks a sentence into lines of at most 78 columns; lines after the first are indented.
std::string wrapped(const std::string& sentence) {
  constexpr std::size_t kColumns = 78;
  std::string out = "-";
  std::string_view rest = sentence;
  std::size_t column = 1;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (column + 1 + word.size() > kColumns) {
      out += "\n ";
      column = 1;
    }
    out += " " + std::string(word);
    column += 1 + word.size();
  }
  return out + "\n";
}

// Marks that Markdown would take for its own become plain; so do line ends, which would end a cell.
std::string plain_markdown(std::string_view text) {
  std::string out;
  for (const char c : config::printable(text)) {
    if (std::string_view("\\`*_{}[]<>#|~!").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

// Each line quoted, and ended as a line.
std::string markdown_quotation(std::string_view text) {
  std::string out;
  for (;;) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += "> " + plain_markdown(text.substr(0, end));
    if (end == text.size()) return out + "\n";
    out += "  \n";
    text.remove_prefix(end + 1);
  }
}

std::string markdown_table(const ReportTable& table) {
  const auto row = [](const std::vector<std::string>& cells) {
    std::string line = "|";
    for (const std::string& cell : cells) line += " " + plain_markdown(cell) + " |";
    return line + "\n";
  };
  std::string rule = "|";
  for (const char side : table.alignment) rule += side == 'r' ? "--:|" : ":--|";
  std::string out =
      "## " + plain_markdown(table.title) + "\n\n" + row(table.headings) + rule + "\n";
  for (const auto& cells : table.rows) out += row(cells);
  return out + "\n";
}

std::string html_table(const ReportTable& table) {
  const auto row = [&](const std::vector<std::string>& cells, const char* tag) {
    std::string line = "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool right = table.alignment[i] == 'r';
      line += fmt::format("<{0}{2}>{1}</{0}>", tag, report::escaped(cells[i]),
                          right ? " style=\"text-align:right\"" : "");
    }
    return line + "</tr>\n";
  };
  std::string out =
      fmt::format("<h2>{}</h2>\n<div class=\"box\"><table>\n", report::escaped(table.title));
  out += row(table.headings, "th");
  for (const auto& cells : table.rows) out += row(cells, "td");
  return out + "</table></div>\n";
}

}  // namespace

std::string as_text(const TaskReport& report) {
  std::string out;
  report::TextTable facts({"task", report.task}, "ll");
  for (const auto& [name, value] : report.facts) facts.add({name, value});
  out += facts.text();
  for (const ReportTable& table : report.tables) {
    report::TextTable text(table.headings, table.alignment);
    for (const auto& row : table.rows) text.add(row);
    out += "\n" + table.title + "\n" + text.text();
  }
  if (!report.notes.empty()) out += "\n";
  for (const std::string& note : report.notes) out += wrapped(config::printable(note));
  return out;
}

std::string as_markdown(const TaskReport& report) {
  std::string out = "# ovid eval: " + plain_markdown(report.task) + "\n\n";
  for (const auto& [name, value] : report.facts)
    out += fmt::format("- {}: {}\n", plain_markdown(name), plain_markdown(value));
  out += "\n";
  for (const ReportTable& table : report.tables) out += markdown_table(table);
  if (!report.notes.empty()) out += "## What the figures can bear\n\n";
  for (const std::string& note : report.notes) out += "- " + plain_markdown(note) + "\n";
  if (!report.samples.empty()) out += "\n## Samples\n";
  for (const auto& [heading, text] : report.samples)
    out += fmt::format("\n**{}**\n\n{}", plain_markdown(heading), markdown_quotation(text));
  return out;
}

std::string as_html(const TaskReport& report) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>{0}</title>\n"
      "<style>{1}</style></head>\n<body><main><h1>{0}</h1>\n<div class=\"box\"><table>\n",
      report::escaped("ovid eval: " + report.task), report::kStyle);
  for (const auto& [name, value] : report.facts) {
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>\n", report::escaped(name),
                       report::escaped(value));
  }
  out += "</table></div>\n";
  for (const ReportTable& table : report.tables) out += html_table(table);
  if (!report.notes.empty()) out += "<h2>What the figures can bear</h2>\n<ul>\n";
  for (const std::string& note : report.notes) out += "<li>" + report::escaped(note) + "</li>\n";
  if (!report.notes.empty()) out += "</ul>\n";
  if (!report.samples.empty()) out += "<h2>Samples</h2>\n";
  for (const auto& [heading, text] : report.samples) {
    out += fmt::format("<p><b>{}</b></p><pre class=\"code\">{}</pre>\n", report::escaped(heading),
                       report::escaped(text));
  }
  return out + "</main></body></html>\n";
}

std::string as_file(const TaskReport& report, std::string_view name) {
  if (name.ends_with(".md")) return as_markdown(report);
  if (name.ends_with(".html")) return as_html(report);
  if (name.ends_with(".json")) return report.json + "\n";
  if (name.ends_with(".txt")) return as_text(report);
  throw UsageError(fmt::format(
      "--output {}: the name says the format; end it with .md, .html, .json or .txt", name));
}

}  // namespace ovid::evaluation
