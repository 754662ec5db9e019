#include "data_tools/dialogue.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "data_tools/byte_source.h"
#include "data_tools/interruption.h"
#include "src/core/error.h"
#include "src/prompts/dialogue_prompt.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

namespace dom = simdjson::dom;
using prompts::clean_utterance;

// A record that is wrong in itself; the message is the reason.
struct BadDialogue : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

// Keeps cleaned candidates that are not empty, the reply among them.
void set_candidates(Turn& turn, const std::vector<std::string_view>& candidates) {
  for (const std::string_view candidate : candidates) {
    std::string cleaned = clean_utterance(candidate);
    if (!cleaned.empty()) turn.candidates.push_back(std::move(cleaned));
  }
  const bool there = std::find(turn.candidates.begin(), turn.candidates.end(), turn.reply) !=
                     turn.candidates.end();
  if (!turn.candidates.empty() && !there) turn.candidates.push_back(turn.reply);
}

// Adds what a line says, behind its number.
void add_line(Dialogue& dialogue, std::string_view text) {
  constexpr std::string_view kPersona = "your persona:";
  constexpr std::string_view kPartner = "partner's persona:";
  constexpr std::size_t kCandidatesField = 3;
  if (text.starts_with(kPartner)) return;
  if (text.starts_with(kPersona)) {
    if (!dialogue.turns.empty()) throw BadDialogue("a persona behind the first turn");
    std::string trait = clean_utterance(text.substr(kPersona.size()));
    if (!trait.empty()) dialogue.persona.push_back(std::move(trait));
    return;
  }
  const std::vector<std::string_view> fields = split_at(text, '\t');
  if (fields.size() < 2) throw BadDialogue("no tab between what is said and the reply");
  Turn turn{clean_utterance(fields[0]), clean_utterance(fields[1]), {}};
  if (fields.size() > kCandidatesField) {
    set_candidates(turn, split_at(fields[kCandidatesField], '|'));
  }
  dialogue.turns.push_back(std::move(turn));
}

// The number at the front of a line, which is cut off with its space.
int take_number(std::string_view& line) {
  int number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  const auto length = static_cast<std::size_t>(end - line.data());
  if (error != std::errc() || number < 1 || length == line.size() || line[length] != ' ') {
    throw BadDialogue("no line number and space at its front");
  }
  line.remove_prefix(length + 1);
  return number;
}

std::vector<std::string_view> strings_of(const dom::object& object, const char* key) {
  dom::array array;
  if (object.at_key(key).get(array)) throw BadDialogue(fmt::format("no list \"{}\"", key));
  std::vector<std::string_view> strings;
  for (const dom::element element : array) {
    std::string_view text;
    if (element.get(text)) throw BadDialogue(fmt::format("\"{}\" holds what is no string", key));
    strings.push_back(text);
  }
  return strings;
}

Turn turn_of(const dom::element& element, const Dialogue& before) {
  dom::object object;
  if (element.get(object)) throw BadDialogue("an utterance that is no object");
  const std::vector<std::string_view> candidates = strings_of(object, "candidates");
  const std::vector<std::string_view> history = strings_of(object, "history");
  if (candidates.empty()) throw BadDialogue("an utterance without candidates, so without a reply");
  if (history.empty()) throw BadDialogue("an utterance without history");
  Turn turn{clean_utterance(history.back()), clean_utterance(candidates.back()), {}};
  const bool goes_on = before.turns.empty() || history.size() < 2 ||
                       clean_utterance(history[history.size() - 2]) == before.turns.back().reply;
  if (!goes_on) throw BadDialogue("a history that does not go on from the reply before");
  if (candidates.size() > 1) set_candidates(turn, candidates);
  return turn;
}

}  // namespace

std::optional<Part> part_of_name(std::string_view name) {
  if (name.starts_with("train")) return Part::kTrain;
  if (name.starts_with("valid") || name.starts_with("dev")) return Part::kValidation;
  if (name.starts_with("test")) return Part::kTest;
  return std::nullopt;
}

std::string repeated_dialogue_key(const Dialogue& dialogue) {
  std::string key;
  for (const std::string& trait : dialogue.persona) key += trait + "\n";
  for (const Turn& turn : dialogue.turns) key += "\t" + turn.partner + "\t" + turn.reply;
  return key;
}

std::string conversation_key(const Dialogue& dialogue) {
  std::string key;
  int utterances = 0;
  for (const Turn& turn : dialogue.turns) {
    for (const std::string* text : {&turn.partner, &turn.reply}) {
      if (text->empty() || utterances == 2) continue;
      key += *text + "\n";
      ++utterances;
    }
  }
  return key;
}

struct DialogueParser::Json {
  dom::parser parser;
};

DialogueParser::DialogueParser(BadLines& bad_lines)
    : bad_lines_(bad_lines), json_(std::make_unique<Json>()) {}
DialogueParser::~DialogueParser() = default;

std::string_view DialogueParser::repaired(std::string_view text) {
  if (!tokenizer::find_invalid_utf8(text)) return text;
  tokenizer::ReplacedText result = tokenizer::replace_invalid_utf8(text);
  replaced_ += result.replacements;
  repaired_ = std::move(result.text);
  return repaired_;
}

void DialogueParser::hand_over(Dialogue&& dialogue, const Visit& visit) {
  if (dialogue.turns.empty() && dialogue.persona.empty()) return;
  const bool replies = std::any_of(dialogue.turns.begin(), dialogue.turns.end(),
                                   [](const Turn& turn) { return !turn.reply.empty(); });
  if (replies) {
    visit(std::move(dialogue));
  } else {
    ++without_reply_;
  }
}

void DialogueParser::parse_lines(const std::string& name, std::optional<Part> part,
                                 PeekedSource& content, const Visit& visit) {
  LineReader lines(content, name);
  Dialogue dialogue;
  bool damaged = false;
  int last = 0;
  while (const auto raw = lines.next()) {
    check_interruption();
    std::string_view line = repaired(*raw);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    try {
      const int number = take_number(line);
      if (number == 1) {
        if (!damaged) hand_over(std::move(dialogue), visit);
        dialogue = Dialogue{.persona = {}, .turns = {}, .part = part};
        damaged = false;
        last = 0;
      }
      if (!damaged && number != last + 1) {
        throw BadDialogue(fmt::format("line {} of the dialogue follows line {}", number, last));
      }
      last = number;
      if (!damaged) add_line(dialogue, line);
    } catch (const BadDialogue& bad) {
      damaged = true;  // a dialogue that lacks a line is none: the rest of it goes too
      bad_lines_.add(name, lines.number(), bad.what());
    }
  }
  if (!damaged) hand_over(std::move(dialogue), visit);
}

void DialogueParser::parse_record(const std::string& name, const JsonRecord& record,
                                  std::optional<Part> part, const Visit& visit) {
  Dialogue dialogue{.persona = {}, .turns = {}, .part = part};
  try {
    const std::string_view text = repaired(record.text);
    const auto parsed = json_->parser.parse(text.data(), text.size());
    dom::object object;
    if (parsed.error()) {
      throw BadDialogue(
          fmt::format("not valid JSON ({})", simdjson::error_message(parsed.error())));
    }
    if (parsed.get(object)) throw BadDialogue("not an object");
    for (const std::string_view trait : strings_of(object, "personality")) {
      std::string cleaned = clean_utterance(trait);
      if (!cleaned.empty()) dialogue.persona.push_back(std::move(cleaned));
    }
    dom::array utterances;
    if (object.at_key("utterances").get(utterances)) throw BadDialogue("no list \"utterances\"");
    for (const dom::element element : utterances) {
      dialogue.turns.push_back(turn_of(element, dialogue));
    }
  } catch (const BadDialogue& bad) {
    bad_lines_.add(name, record.line, bad.what());
    return;
  }
  hand_over(std::move(dialogue), visit);
}

void DialogueParser::parse_file(const std::string& name, const std::string& file_name,
                                PeekedSource& content, const Visit& visit) {
  const char first = content.first_character();
  const std::optional<Part> part = part_of_name(file_name);
  if (first == '{') {
    for_each_json_record(content, name, 2, [&](const JsonRecord& record) {
      const std::optional<Part> of_key = part_of_name(record.key);
      parse_record(name, record, of_key ? of_key : part, visit);
    });
  } else if (first >= '0' && first <= '9') {
    parse_lines(name, part, content, visit);
  } else if (first != '\0') {
    throw DataError(fmt::format(
        "{} begins neither with a line number, as ParlAI's text does (1 your persona: ...), nor "
        "with {{, as the JSON {{\"train\": [...], \"valid\": [...]}} does",
        name));
  }
}

}  // namespace ovid::data_tools
