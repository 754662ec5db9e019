#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data_tools/commands.h"
#include "data_tools/dialogue.h"
#include "data_tools/dialogue_layout.h"
#include "data_tools/interruption.h"
#include "data_tools/progress.h"
#include "data_tools/text_set.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

// One run of the command, from its inputs to the complete working folder.
class DialogueJob {
 public:
  DialogueJob(const PersonaChatOptions& options, const Path& folder)
      : options_(options),
        folder_(folder),
        tokenizer_(load_shard_tokenizer(options.tokenizer)),
        layout_(tokenizer_, options.control),
        bad_lines_(options.most_bad_lines),
        parser_(bad_lines_) {
    for (const char* part : kPartNames) outputs_.emplace_back(folder, part, options.shard_tokens);
  }

  void run() {
    const std::vector<InputFile> files = list_inputs(options_.inputs);
    bool known = true;
    for (const InputFile& file : files) {
      total_bytes_ += file.bytes;
      known = known && file.is_regular;
    }
    if (!known) total_bytes_ = 0;
    for_each_record_file(
        files, bytes_read_,
        [&](const std::string& name, const std::string& file_name, PeekedSource& content) {
          parser_.parse_file(name, file_name, content, [&](Dialogue&& dialogue) {
            check_interruption();
            take(dialogue, name);
            progress_.update(now());
          });
        });
    for (std::size_t i = 0; i < outputs_.size(); ++i) finish(i);
    log::info(progress_.summary(now()));
    layout_.control().save_tokenizer(folder_ / "tokenizer");
    replace_file(folder_ / "dataset.json", describe().dump(2) + "\n");
  }

 private:
  struct Output {
    Output(const Path& folder, const std::string& part, std::int64_t shard_tokens)
        : writer({.directory = folder, .prefix = part, .max_tokens = shard_tokens}),
          candidates(folder / ("candidates_" + part + ".jsonl"), WriteMode::kTruncate) {}
    data::ShardWriter writer;
    OutputFile candidates;
    std::uint64_t dialogues = 0;
    std::uint64_t replies = 0;
    std::uint64_t documents = 0;
    std::uint64_t candidate_lists = 0;
    std::int64_t tokens = 0;
    std::int64_t counted_tokens = 0;
    std::vector<data::WrittenShard> shards;
  };

  Part part_of(const Dialogue& dialogue, const std::string& name) {
    using Split = PersonaChatOptions::Split;
    if (dialogue.part && options_.split != Split::kDialogue) return *dialogue.part;
    if (options_.split == Split::kSource) {
      throw UsageError(fmt::format(
          "{} does not say whether it is for training: its name (or JSON key) begins with none of "
          "train, valid, dev and test; rename it, or use --split dialogue",
          name));
    }
    split_by_dialogue_ = true;
    return part_of_key(conversation_key(dialogue), options_.fractions);
  }

  void take(const Dialogue& dialogue, const std::string& name) {
    ++read_;
    if (!dialogues_.insert(repeated_dialogue_key(dialogue))) return;
    Output& output = outputs_[static_cast<std::size_t>(part_of(dialogue, name))];
    ++output.dialogues;
    if (options_.history < 0) write(layout_.whole(dialogue), output);
    for (std::size_t i = 0; i < dialogue.turns.size(); ++i) {
      const Turn& turn = dialogue.turns[i];
      bytes_ += turn.partner.size() + turn.reply.size();
      if (turn.reply.empty()) continue;
      ++output.replies;
      if (options_.history >= 0) write(layout_.one_reply(dialogue, i, options_.history), output);
      if (&output != &outputs_.front() && !turn.candidates.empty()) {
        write_candidates(dialogue, i, output);
      }
    }
  }

  void write(const MaskedDocument& document, Output& output) {
    output.writer.append(document.tokens, document.mask);
    ++output.documents;
    for (const std::uint8_t counts : document.mask) output.counted_tokens += counts;
    tokens_ += static_cast<std::int64_t>(document.tokens.size());
  }

  void write_candidates(const Dialogue& dialogue, std::size_t i, Output& output) {
    const Turn& turn = dialogue.turns[i];
    const auto gold = std::find(turn.candidates.begin(), turn.candidates.end(), turn.reply);
    const ordered_json row{
        {"dialogue", output.dialogues - 1},
        {"turn", i},
        {"context", layout_.context_text(dialogue, i, options_.history)},
        {"context_tokens", layout_.context_tokens(dialogue, i, options_.history)},
        {"candidates", turn.candidates},
        {"gold", gold - turn.candidates.begin()}};
    output.candidates.write(row.dump() + "\n");
    ++output.candidate_lists;
  }

  void finish(std::size_t i) {
    Output& output = outputs_[i];
    const bool must_be =
        i == 0 || (i == 1 && split_by_dialogue_ && options_.fractions.validation > 0);
    if (must_be && output.dialogues == 0) {
      throw DataError(
          fmt::format("of {} dialogues none is in the {} part; give files of it (their names say "
                      "it: train..., valid...), more dialogues, or use --split dialogue",
                      read_, kPartNames[i]));
    }
    output.tokens = output.writer.total_tokens();
    output.shards = output.writer.finish();
    output.candidates.sync();
    output.candidates.close();
    if (output.candidate_lists == 0) std::filesystem::remove(output.candidates.path());
  }

  ordered_json describe() const {
    ordered_json d{{"format_version", data::kDatasetFormatVersion},
                   {"created_by", std::string("ovid-data ") + kVersion},
                   {"kind", "persona-chat"},
                   {"tokenizer", "tokenizer"},
                   {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer_.fingerprint())},
                   {"vocabulary_size", layout_.control().vocabulary_size()},
                   {"end_of_text", tokenizer_.end_of_text()}};
    d.update(ordered_json::parse(control_as_json(layout_.control())));
    d["dialogues"] = read_;
    d["dropped"] = {{"bad_lines", bad_lines_.count()},
                    {"without_reply", parser_.without_reply()},
                    {"repeated", read_ - dialogues_.size()}};
    d["first_bad_lines"] = bad_lines_.first();
    d["invalid_utf8_replaced"] = parser_.replaced();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Output& output = outputs_[i];
      d[kPartNames[i]] = {{"documents", output.documents},
                          {"dialogues", output.dialogues},
                          {"replies", output.replies},
                          {"candidate_lists", output.candidate_lists},
                          {"tokens", output.tokens},
                          {"counted_tokens", output.counted_tokens},
                          {"shards", ordered_json::parse(shards_as_json(output.shards))}};
    }
    constexpr const char* kSplits[] = {"auto", "source", "dialogue"};
    d["settings"] = {{"split", kSplits[static_cast<int>(options_.split)]},
                     {"validation_fraction", options_.fractions.validation},
                     {"test_fraction", options_.fractions.test},
                     {"seed", options_.fractions.seed},
                     {"history", options_.history},
                     {"shard_tokens", options_.shard_tokens}};
    return d;
  }

  Progress::Now now() const {
    return {.bytes = bytes_,
            .documents = read_,
            .tokens = tokens_,
            .input_read = bytes_read_,
            .input_total = total_bytes_};
  }

  const PersonaChatOptions& options_;
  Path folder_;
  tokenizer::Tokenizer tokenizer_;
  DialogueLayout layout_;
  BadLines bad_lines_;
  DialogueParser parser_;
  TextSet dialogues_;
  Progress progress_;
  std::deque<Output> outputs_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::uint64_t total_bytes_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t tokens_ = 0;
  bool split_by_dialogue_ = false;
};

void report(const std::string& description, const Path& folder) {
  const auto d = ordered_json::parse(description);
  for (const char* name : kPartNames) {
    const ordered_json& part = d[name];
    if (part["dialogues"] == 0) continue;
    log::info(
        fmt::format("{}: {} dialogues, {} replies, {} tokens of which {} count, {} lists of "
                    "candidates",
                    name, part["dialogues"].dump(), part["replies"].dump(), part["tokens"].dump(),
                    part["counted_tokens"].dump(), part["candidate_lists"].dump()));
  }
  const ordered_json& dropped = d["dropped"];
  log::info(fmt::format(
      "left out: {} repeated dialogues, {} without a reply, those of {} bad lines",
      dropped["repeated"].dump(), dropped["without_reply"].dump(), dropped["bad_lines"].dump()));
  if (d["invalid_utf8_replaced"] != 0) {
    log::warning(fmt::format("{} places were not UTF-8 and became U+FFFD",
                             d["invalid_utf8_replaced"].dump()));
  }
  log::info(fmt::format("written to {}", folder.string()));
}

}  // namespace

void run_persona_chat(const PersonaChatOptions& options) {
  check_fractions(options.fractions);
  if (options.history == 0 || options.history < -1) {
    throw UsageError(
        fmt::format("--history {} is not possible: 1 or more utterances, or -1 for "
                    "the whole dialogue",
                    options.history));
  }
  write_dataset(
      options.output, options.overwrite, options.json,
      [&](const Path& folder) { return DialogueJob(options, folder).run(); }, report);
}

}  // namespace ovid::data_tools
