#include "src/diagnosis/finding.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ovid::diagnosis {
namespace {

const char* word_of(Grade grade) {
  switch (grade) {
    case Grade::kGood:
      return "good";
    case Grade::kDoubtful:
      return "doubtful";
    case Grade::kBad:
      return "bad";
  }
  return "";
}

// SGR codes: green, yellow, red.
const char* colour_of(Grade grade) {
  switch (grade) {
    case Grade::kGood:
      return "32";
    case Grade::kDoubtful:
      return "33";
    case Grade::kBad:
      return "31";
  }
  return "0";
}

std::ptrdiff_t count_of(const Findings& findings, Grade grade) {
  return std::count_if(findings.begin(), findings.end(),
                       [&](const Finding& finding) { return finding.grade == grade; });
}

// Values hold text of files and of the environment, which could steer a terminal.
std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

}  // namespace

bool none_bad(const Findings& findings) {
  return count_of(findings, Grade::kBad) == 0;
}

std::string to_text(const Findings& findings, bool colour) {
  constexpr std::size_t kMarkWidth = 8;  // of "doubtful"
  std::size_t topic_width = 0;
  for (const Finding& finding : findings) topic_width = std::max(topic_width, finding.topic.size());
  std::string text;
  for (const Finding& finding : findings) {
    std::string mark = fmt::format("{:<{}}", word_of(finding.grade), kMarkWidth);
    if (colour) mark = fmt::format("\x1b[{}m{}\x1b[0m", colour_of(finding.grade), mark);
    text +=
        fmt::format("{}  {:<{}}  {}\n", mark, finding.topic, topic_width, printable(finding.value));
    if (!finding.cure.empty()) {
      text += fmt::format("{:>{}}  cure: {}\n", "", kMarkWidth + 2 + topic_width,
                          printable(finding.cure));
    }
  }
  return text + fmt::format("{} good, {} doubtful, {} bad\n", count_of(findings, Grade::kGood),
                            count_of(findings, Grade::kDoubtful), count_of(findings, Grade::kBad));
}

std::string to_json(const Findings& findings) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"topic", finding.topic},
                    {"grade", word_of(finding.grade)},
                    {"value", finding.value},
                    {"cure", finding.cure.empty() ? Json() : Json(finding.cure)}});
  }
  const Json document = {{"good", count_of(findings, Grade::kGood)},
                         {"doubtful", count_of(findings, Grade::kDoubtful)},
                         {"bad", count_of(findings, Grade::kBad)},
                         {"findings", std::move(list)}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ovid::diagnosis
