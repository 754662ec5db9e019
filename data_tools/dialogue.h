#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/bad_lines.h"
#include "data_tools/dataset_files.h"
#include "data_tools/record_files.h"

namespace ovid::data_tools {

// What the partner says and what is answered, each on one line; empty where nobody speaks.
struct Turn {
  std::string partner;
  std::string reply;
  std::vector<std::string> candidates;  // replies to rank, `reply` among them; may be empty
};

struct Dialogue {
  std::vector<std::string> persona;  // of the one who replies
  std::vector<Turn> turns;
  std::optional<Part> part;  // where the source says it
};

// The part that a file's or a JSON key's name begins with: train; valid, validation, dev; test.
std::optional<Part> part_of_name(std::string_view name);

// The text that two dialogues have in common exactly when they are equal but for candidates.
std::string repeated_dialogue_key(const Dialogue& dialogue);

// The first two utterances: the same of one conversation seen from either side.
std::string conversation_key(const Dialogue& dialogue);

// Reads PERSONA-CHAT: ParlAI's text, each dialogue numbered from 1 (the partner's persona is passed
// over),
//   N your persona: TEXT
//   N PARTNER<tab>REPLY[<tab>REWARD<tab>CANDIDATE|CANDIDATE...]
// or the JSON that Hugging Face gave out, where the reply is the last candidate:
//   {"train": [{"personality": [...], "utterances": [{"candidates": [...], "history": [...]}]}],
//    "valid": [...]}
class DialogueParser {
 public:
  explicit DialogueParser(BadLines& bad_lines);  // kept by reference
  ~DialogueParser();

  // Calls visit for each dialogue that has a reply. Of a broken line the whole dialogue goes to
  // `bad_lines`. Throws DataError for a file of another layout.
  using Visit = std::function<void(Dialogue&&)>;
  void parse_file(const std::string& name, const std::string& file_name, PeekedSource& content,
                  const Visit& visit);

  std::uint64_t replaced() const { return replaced_; }            // bytes that were not UTF-8
  std::uint64_t without_reply() const { return without_reply_; }  // dialogues, passed over

 private:
  struct Json;
  void parse_lines(const std::string& name, std::optional<Part> part, PeekedSource& content,
                   const Visit& visit);
  void parse_record(const std::string& name, const JsonRecord& record, std::optional<Part> part,
                    const Visit& visit);
  void hand_over(Dialogue&& dialogue, const Visit& visit);
  std::string_view repaired(std::string_view text);

  BadLines& bad_lines_;
  std::unique_ptr<Json> json_;
  std::string repaired_;
  std::uint64_t replaced_ = 0;
  std::uint64_t without_reply_ = 0;
};

}  // namespace ovid::data_tools
