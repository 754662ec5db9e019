#include "src/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "src/config/text.h"
#include "src/config/yaml_diagnosis.h"

namespace ovid::config {
namespace {

constexpr std::size_t kDeepest = 8;
constexpr std::size_t kMostNodes = 10'000;
constexpr std::size_t kLongestLine = 1 << 16;
// The YAML library keeps what stands in unclosed brackets as tokens: up to 250 bytes for a letter.
constexpr std::ptrdiff_t kMostFlowLetters = 20'000;

struct Refused {};  // the report has the reason

// How many bytes the token at a place takes in its line, for the carets.
std::size_t token_length(std::string_view rest, std::string_view value) {
  if (!value.empty() && rest.starts_with(value)) return value.size();
  if (rest.starts_with('"') || rest.starts_with('\'')) {
    const std::size_t end = rest.find(rest.front(), 1);
    return end == std::string_view::npos ? rest.size() : end + 1;
  }
  return 1;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const Source& source, std::size_t begin, Report& report)
      : source_(source), begin_(begin), report_(report) {}

  Node take_root() { return std::move(root_); }
  bool has_root() const { return has_root_; }

  Place place_of(const YAML::Mark& mark, std::string_view value = {}) const {
    Place place{&source_, 0, begin_};
    if (mark.line > 0) {
      place.line =
          std::min<std::size_t>(static_cast<std::size_t>(mark.line), source_.lines.size() - 1);
      place.column = 0;
    }
    if (mark.column > 0) place.column += static_cast<std::size_t>(mark.column);
    const std::string_view line = source_.lines[place.line];
    place.column = std::min(place.column, line.size());
    place.length = token_length(line.substr(place.column), value);
    return place;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      refuse(mark, "a config is one YAML document, and a second one begins here",
             "remove it, and the `---` before it");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add(make(mark, Node::Kind::kNull));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "YAML aliases are not read here",
           "write the value again; a text that begins with `*` needs quotes");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    Node node = make(mark, Node::Kind::kScalar, value);
    node.in_quotes = tag == "!";  // yaml-cpp's way to tell: "?" is a plain scalar
    if (node.in_quotes && !quote_is_closed(source_, node.place)) {
      refuse(mark, "the quote that begins here is never closed", {});
    }
    node.text = value;
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::optional<Node> key{};
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, std::string message, std::string help) {
    report_.add(place_of(mark), std::move(message), {}, std::move(help));
    throw Refused{};
  }
  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) {
      refuse(mark, "YAML anchors are not read here",
             "remove the `&name`; a text that begins with `&` needs quotes");
    }
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      refuse(mark, fmt::format("YAML tags are not read here: {}", in_backquotes(tag)),
             "remove the tag; a text that begins with `!` needs quotes");
    }
  }

  Node make(const YAML::Mark& mark, Node::Kind kind, std::string_view value = {}) {
    if (++nodes_ > kMostNodes) {
      refuse(mark, fmt::format("the config holds more than {} values", kMostNodes),
             "is this the right file?");
    }
    Node node;
    node.kind = kind;
    node.place = place_of(mark, value);
    return node;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (stack_.size() >= kDeepest) {
      refuse(mark, fmt::format("lists and maps are nested deeper than {} levels", kDeepest),
             "a config has two levels, and lists");
    }
    stack_.push_back({make(mark, kind)});
  }
  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      has_root_ = true;
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == Node::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
    } else if (frame.key) {
      frame.node.entries.push_back({std::move(*frame.key), std::move(node)});
      frame.key.reset();
    } else if (node.kind != Node::Kind::kScalar) {
      report_.add(node.place, "a key must be a name", {}, "write `name: value`");
      throw Refused{};
    } else {
      frame.key = std::move(node);
    }
  }

  const Source& source_;
  std::size_t begin_;
  Report& report_;
  std::size_t documents_ = 0;
  std::size_t nodes_ = 0;
  std::vector<Frame> stack_;
  Node root_;
  bool has_root_ = false;
};

// Whether every byte of a line is one that a config may hold.
bool line_is_clean(const Source& source, std::size_t number, Report& report) {
  const std::string_view line = source.lines[number];
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t length = utf8_length(line.substr(at));
    const Place place{&source, number, at};
    if (length == 0) {
      report.add(
          place,
          fmt::format("the byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(line[at])), {},
          "save the file as UTF-8");
      return false;
    }
    if (line[at] != '\t' && is_control(line.substr(at, length))) {
      const unsigned code = static_cast<unsigned char>(line[at + length - 1]);
      report.add(place, fmt::format("a control character (U+{:04X}) stands here", code), {},
                 "remove it; in a text in double quotes write it as an escape, e.g. \"\\n\"");
      return false;
    }
    at += length;
  }
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] == '#') return true;
  const std::size_t tab = line.substr(0, first).find('\t');
  if (tab == std::string_view::npos) return true;
  report.add({&source, number, tab}, "a tab indents this line, which YAML forbids", "write spaces");
  return false;
}

// Whether the YAML library may see the text: what no config needs is found before, so that it
// cannot do harm.
bool letters_are_clean(const Source& source, Report& report) {
  constexpr std::size_t kMostBadLines = 20;  // a file with more is another sort of file
  const auto is_flow_letter = [](char c) { return c == '[' || c == '{' || c == ','; };
  if (std::count_if(source.text.begin(), source.text.end(), is_flow_letter) > kMostFlowLetters) {
    report.add({&source, 0, 0, 1, true},
               fmt::format("the config holds more than {} brackets and commas", kMostFlowLetters),
               {}, "is this the right file?");
    return false;
  }
  if (source.text.starts_with("\xff\xfe") || source.text.starts_with("\xfe\xff")) {
    report.add({&source, 0, 0}, "the file is UTF-16", {}, "save the file as UTF-8");
    return false;
  }
  std::size_t bad_lines = 0;
  for (std::size_t i = 0; i < source.lines.size() && bad_lines < kMostBadLines; ++i) {
    if (source.lines[i].size() > kLongestLine) {
      report.add({&source, i, kLongestLine},
                 fmt::format("the line is longer than {} bytes", kLongestLine), {},
                 "write long lists with one entry a line, behind `- `");
      return false;
    }
    if (!line_is_clean(source, i, report)) ++bad_lines;
  }
  return bad_lines == 0;
}

}  // namespace

std::optional<Node> read_yaml(const Source& source, std::size_t begin, Report& report) {
  if (!letters_are_clean(source, report)) return std::nullopt;
  TreeBuilder builder(source, begin, report);
  try {
    std::istringstream stream(source.text.substr(begin));
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused&) {
    return std::nullopt;
  } catch (const YAML::Exception& e) {
    const bool alias =
        std::string_view(e.msg).find("anchor is not defined") != std::string_view::npos;
    if (alias) {
      report.add(builder.place_of(e.mark),
                 "`*` begins a YAML alias here, and no such anchor exists", {},
                 "put the text in quotes");
      return std::nullopt;
    }
    Diagnosis slip = diagnose(source, begin, builder.place_of(e.mark), e.msg);
    report.add(slip.place, std::move(slip.message), std::move(slip.label), std::move(slip.help));
    return std::nullopt;
  }
  if (!builder.has_root()) {
    Node nothing;
    nothing.place = Place{&source, 0, begin, 1, true};
    return nothing;
  }
  return builder.take_root();
}

}  // namespace ovid::config
