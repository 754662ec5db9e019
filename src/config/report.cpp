#include "src/config/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "src/config/text.h"

namespace ovid::config {
namespace {

// The part of a line that is shown, in characters: enough of it around the carets.
struct Excerpt {
  std::string text;
  std::size_t padding;  // before the carets
  std::size_t carets;
};

Excerpt excerpt(std::string_view line, std::size_t column, std::size_t length) {
  constexpr std::size_t kWidth = 100;
  constexpr std::size_t kBefore = 40;
  column = std::min(column, line.size());
  length = std::min(length, line.size() - column);
  const std::size_t padding = count_characters(line.substr(0, column));
  const std::size_t carets =
      std::max<std::size_t>(1, count_characters(line.substr(column, length)));
  const std::string clean = printable(line);
  if (count_characters(clean) <= kWidth) return {clean, padding, carets};

  const std::size_t first = padding > kBefore ? padding - kBefore : 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < first; ++i)
    begin += utf8_length(std::string_view(clean).substr(begin));
  std::size_t end = begin;
  for (std::size_t i = 0; i < kWidth && end < clean.size(); ++i) {
    end += utf8_length(std::string_view(clean).substr(end));
  }
  const std::string lead = first > 0 ? "..." : "";
  return {lead + clean.substr(begin, end - begin) + (end < clean.size() ? "..." : ""),
          lead.size() + padding - first, std::min(carets, kWidth - (padding - first))};
}

}  // namespace

Source::Source(std::string_view source_name, std::string_view source_text, bool from_command_line,
               std::size_t source_number, Place included)
    : name(source_name),
      text(source_text),
      command_line(from_command_line),
      number(source_number),
      included_from(included) {
  std::string_view rest = text;
  for (;;) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) return;
    rest.remove_prefix(end + 1);
  }
}

void Report::add(const Place& place, std::string message, std::string label, std::string help) {
  entries_.push_back({place, std::move(message), std::move(label), std::move(help)});
}

Problem Report::problem_of(const Entry& entry) {
  Problem problem{{}, 0, 0, entry.message, entry.label, entry.help};
  const Place& place = entry.place;
  if (place.source == nullptr) return problem;
  problem.source = place.source->name;
  if (place.whole_source) return problem;
  const std::string_view line = place.source->lines[place.line];
  problem.line = place.line + 1;
  problem.column = count_characters(line.substr(0, std::min(place.column, line.size()))) + 1;
  return problem;
}

std::string Report::layout(const Entry& entry) {
  const Problem problem = problem_of(entry);
  std::string out = entry.message + "\n";
  const std::string note = entry.label.empty() ? "" : " " + entry.label;
  std::string indent = "  ";
  if (entry.place.source == nullptr || entry.place.whole_source) {
    if (entry.place.source != nullptr) out += fmt::format("  --> {}\n", printable(problem.source));
    if (!entry.label.empty()) out += fmt::format("  = note: {}\n", entry.label);
  } else {
    const std::string_view line = entry.place.source->lines[entry.place.line];
    const Excerpt shown = excerpt(line, entry.place.column, entry.place.length);
    if (entry.place.source->command_line) {
      const std::string head = "  --> command line: ";
      out += fmt::format("{}{}\n{:{}}{:^>{}}{}\n", head, shown.text, "",
                         head.size() + shown.padding, "", shown.carets, note);
    } else {
      const std::string number = std::to_string(problem.line);
      const std::string gutter(number.size() + 1, ' ');
      out += fmt::format("{:{}}--> {}:{}:{}\n", "", number.size(), printable(problem.source),
                         problem.line, problem.column);
      out += fmt::format("{}|\n{} | {}\n{}| {:{}}{:^>{}}{}\n", gutter, number, shown.text, gutter,
                         "", shown.padding, "", shown.carets, note);
      indent = gutter;
    }
  }
  if (!entry.help.empty()) out += fmt::format("{}= help: {}\n", indent, entry.help);
  if (entry.place.source != nullptr && entry.place.source->included_from.source != nullptr) {
    const Place& from = entry.place.source->included_from;
    out += fmt::format("{}= included from {}:{}\n", indent, printable(from.source->name),
                       from.line + 1);
  }
  out.pop_back();
  return out;
}

void Report::fail() {
  constexpr std::size_t kShown = 20;
  const auto order = [](const Entry& entry) {
    const Place& place = entry.place;
    const std::size_t number = place.source == nullptr ? 0 : place.source->number;
    // Problems of one override keep the order in which they were found.
    if (place.source != nullptr && place.source->command_line)
      return std::tuple(number, std::size_t{0}, std::size_t{0});
    return std::tuple(number, place.whole_source ? 0 : place.line + 1, place.column);
  };
  std::stable_sort(entries_.begin(), entries_.end(),
                   [&](const Entry& a, const Entry& b) { return order(a) < order(b); });
  std::string text;
  std::vector<Problem> problems;
  for (const Entry& entry : entries_) {
    problems.push_back(problem_of(entry));
    if (problems.size() > kShown) continue;
    if (!text.empty()) text += "\nerror: ";
    text += layout(entry);
  }
  if (entries_.size() > kShown)
    text += fmt::format("\nand {} more problems", entries_.size() - kShown);
  throw ConfigError(text, std::move(problems));
}

}  // namespace ovid::config
