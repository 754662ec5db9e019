#include "tests/config/malformed_configs.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "src/core/file.h"

namespace ovid::config {
namespace {

constexpr std::string_view kMark = "»";

bool take_prefix(std::string_view& line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return false;
  line.remove_prefix(prefix.size());
  return true;
}

// `<0x09>` to the byte; the marks go, and are told to `places` as (line, column) from 1.
class TextReader {
 public:
  using Places = std::vector<std::pair<std::size_t, std::size_t>>;
  std::string read(std::string_view line, std::size_t number, Places& places) {
    std::string out;
    std::size_t column = 1;
    while (!line.empty()) {
      if (take_prefix(line, kMark)) {
        places.emplace_back(number, column);
        continue;
      }
      if (line.starts_with("<0x") && line.size() >= 6 && line[5] == '>') {
        out += static_cast<char>(std::stoi(std::string(line.substr(3, 2)), nullptr, 16));
        line.remove_prefix(6);
      } else {
        out += line.front();
        line.remove_prefix(1);
      }
      const bool continues = (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80;
      if (!continues) ++column;
      if (number == 1 && out == "\xef\xbb\xbf") column = 1;  // a byte order mark has no place
    }
    return out;
  }
};

class TableReader {
 public:
  std::vector<MalformedConfig> read(const std::string& text) {
    std::istringstream stream(text);
    std::string line;
    for (number_ = 1; std::getline(stream, line); ++number_) read_line(line);
    finish();
    return std::move(cases_);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw std::runtime_error("malformed_configs.txt:" + std::to_string(number_) + ": " + message);
  }

  void read_line(std::string_view line) {
    const bool told = !cases_.empty() && !cases_.back().problems.empty();
    if (line.starts_with("===")) {
      finish();
      alone_ = line == "=== alone";
      cases_.push_back({number_, {{"run.yaml", ""}}, {}, {}});
      text_line_ = 1;
    } else if (cases_.empty() || (told && (line.empty() || line.starts_with("#")))) {
      return;  // between the cases
    } else if (take_prefix(line, "@file ")) {
      cases_.back().files.emplace_back(line, "");
      text_line_ = 1;
    } else if (take_prefix(line, "@override ")) {
      cases_.back().overrides.push_back(read_text(line, "command line", 1));
    } else if (take_prefix(line, "error: ")) {
      cases_.back().problems.push_back({});
      cases_.back().problems.back().message = line;
    } else if (told && take_prefix(line, "label: ")) {
      cases_.back().problems.back().label = line;
    } else if (told && take_prefix(line, "help: ")) {
      cases_.back().problems.back().help = line;
    } else if (told) {
      fail("neither error, label, help nor a new case");
    } else {
      auto& [name, text] = cases_.back().files.back();
      text += read_text(line, name, text_line_++) + "\n";
    }
  }

  std::string read_text(std::string_view line, const std::string& source, std::size_t number) {
    TextReader::Places places;
    std::string text = TextReader().read(line, number, places);
    for (const auto& [at, column] : places) marks_.push_back({source, at, column, {}, {}, {}});
    return text;
  }

  // Gives the marks to the messages, and data to a config that has none.
  void finish() {
    if (cases_.empty()) return;
    MalformedConfig& c = cases_.back();
    std::size_t next = 0;
    for (ExpectedProblem& problem : c.problems) {
      if (problem.message.starts_with('!')) {
        problem.message.erase(0, std::min<std::size_t>(2, problem.message.size()));
        continue;
      }
      if (next == marks_.size()) fail("more messages than marks in the case above");
      problem.source = marks_[next].source;
      problem.line = marks_[next].line;
      problem.column = marks_[next++].column;
    }
    if (next != marks_.size() || c.problems.empty()) fail("a mark without a message above");
    marks_.clear();
    bool data = alone_;
    for (const auto& [name, text] : c.files) data = data || text.find("data:") != std::string::npos;
    if (!data) c.files.front().second += "data: {train: [a.bin]}\n";
  }

  std::vector<MalformedConfig> cases_;
  std::vector<ExpectedProblem> marks_;
  std::size_t number_ = 0;
  std::size_t text_line_ = 1;
  bool alone_ = false;
};

}  // namespace

std::vector<MalformedConfig> read_malformed_configs(const std::filesystem::path& table) {
  return TableReader().read(read_file(table));
}

}  // namespace ovid::config
