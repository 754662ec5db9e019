#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "data_tools/commands.h"
#include "data_tools/dialogue.h"
#include "data_tools/dialogue_documents.h"
#include "data_tools/dialogue_progress.h"
#include "data_tools/interruption.h"
#include "data_tools/ordered_batches.h"
#include "data_tools/output_folder.h"
#include "data_tools/progress.h"
#include "data_tools/shard_sequence.h"
#include "data_tools/text_set.h"
#include "data_tools/work_record.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"
#include "src/data/dataset_description.h"

namespace ovid::data_tools {
namespace {

using nlohmann::ordered_json;

constexpr const char* kSplits[] = {"auto", "source", "dialogue"};

// What decides the result beside the inputs; the keys are the flags, for messages.
std::string settings_of(const PersonaChatOptions& options, std::uint64_t tokenizer) {
  return ordered_json{{"command", "persona-chat"},
                      {"--tokenizer", fmt::format("{:016x}", tokenizer)},
                      {"--control", name_of(options.control)},
                      {"--split", kSplits[static_cast<int>(options.split)]},
                      {"--validation-fraction", options.fractions.validation},
                      {"--test-fraction", options.fractions.test},
                      {"--seed", options.fractions.seed},
                      {"--history", options.history},
                      {"--shard-tokens", options.shard_tokens}}
      .dump();
}

// One run of the command, from its inputs to the complete working folder.
class DialogueJob {
 public:
  DialogueJob(const PersonaChatOptions& options, const Path& folder)
      : options_(options),
        folder_(folder),
        tokenizer_(load_shard_tokenizer(options.tokenizer)),
        files_(list_inputs(options.inputs)),
        record_(folder, settings_of(options, tokenizer_.fingerprint()), files_),
        bad_lines_(options.most_bad_lines),
        parser_(bad_lines_),
        pool_(threads_for(options.threads)) {
    if (const auto json = record_.begin()) earlier_ = dialogue_progress_from(*json);
    for (std::size_t i = 0; i < kPartNames.size(); ++i) {
      outputs_.emplace_back(folder, kPartNames[i], options.shard_tokens,
                            earlier_ ? &earlier_->parts[i] : nullptr);
    }
    for (std::size_t i = 0; i < pool_.threads(); ++i)
      layouts_.emplace_back(tokenizer_, options.control);
  }

  void run() {
    if (earlier_) log::info(fmt::format("going on behind {} dialogues", earlier_->dialogues));
    try {
      read_inputs();
    } catch (const Interrupted&) {
      record();
      throw;
    }
    if (is_passing_over()) refuse_other_inputs();
    for (std::size_t i = 0; i < outputs_.size(); ++i) finish(i);
    log::info(progress_.summary(now()));
    control().save_tokenizer(folder_ / "tokenizer");
    replace_file(folder_ / "dataset.json", describe().dump(2) + "\n");
    WorkRecord::remove_files(folder_);
  }

 private:
  // A dialogue on its way into the part `output`.
  struct Item {
    std::size_t output = 0;
    std::uint64_t number = 0;  // of the dialogue in its part
    std::uint64_t behind = 0;  // dialogues of the inputs up to here
    std::uint64_t hash = 0;    // of these
    Dialogue dialogue;
    // Filled by the worker:
    std::vector<MaskedDocument> documents;
    std::string candidates;  // rows of JSON
    std::uint64_t candidate_lists = 0;
    std::uint64_t replies = 0;
  };
  // `earlier`: to go on from; null: begin anew.
  struct Output {
    Output(const Path& folder, const std::string& part, std::int64_t shard_tokens,
           const DialogueProgress::Part* earlier)
        : shards({.directory = folder, .prefix = part, .max_tokens = shard_tokens}),
          done(earlier != nullptr ? *earlier : DialogueProgress::Part{}),
          candidates(file_of(folder / ("candidates_" + part + ".jsonl"), earlier)) {
      if (earlier != nullptr) shards.restore(earlier->shards);
    }
    static OutputFile file_of(const Path& path, const DialogueProgress::Part* earlier) {
      if (earlier == nullptr) return {path, WriteMode::kTruncate};
      return {cut_back(path, earlier->candidate_bytes), WriteMode::kAppend};
    }
    ShardSequence shards;
    DialogueProgress::Part done;  // but for its shards
    OutputFile candidates;
    std::uint64_t dialogues = 0;
    std::int64_t tokens = 0;
    std::vector<data::WrittenShard> written;
  };

  void read_inputs() {
    bool known = true;
    for (const InputFile& file : files_) {
      total_bytes_ += file.bytes;
      known = known && file.is_regular;
    }
    if (!known) total_bytes_ = 0;
    OrderedBatches<Item> batches(
        pool_, [&](std::size_t worker, Item& item) { make_documents(layouts_[worker], item); },
        [&](Item& item) { take(item); });
    for_each_record_file(
        files_, bytes_read_,
        [&](const std::string& name, const std::string& file_name, PeekedSource& content) {
          parser_.parse_file(name, file_name, content, [&](Dialogue&& dialogue) {
            check_interruption();
            add(std::move(dialogue), name, batches);
            progress_.update(now());
          });
        });
    batches.finish();
  }

  void add(Dialogue&& dialogue, const std::string& name, OrderedBatches<Item>& batches) {
    const std::string key = repeated_dialogue_key(dialogue);
    const bool passed = is_passing_over();
    ++read_;
    hash_ = hash64(std::as_bytes(std::span(key)), hash_);
    if (passed && !is_passing_over() && hash_ != earlier_->hash) refuse_other_inputs();
    if (!dialogues_.insert(key)) return;
    Item item;
    item.output = static_cast<std::size_t>(part_of(dialogue, name));
    item.number = outputs_[item.output].dialogues++;
    if (passed) return;  // written by an earlier process
    item.behind = read_;
    item.hash = hash_;
    item.dialogue = std::move(dialogue);
    const std::size_t bytes = bytes_of(item.dialogue);
    bytes_ += bytes;
    batches.add(std::move(item), bytes);
  }

  bool is_passing_over() const { return earlier_ && read_ < earlier_->dialogues; }

  [[noreturn]] void refuse_other_inputs() const {
    throw DataError(
        fmt::format("the first {} dialogues are not those that were read before the interruption; "
                    "give the same inputs, or begin anew with --restart",
                    earlier_->dialogues));
  }

  void record() {
    if (is_passing_over() || taken_.dialogues == 0) return;  // not yet where the earlier one was
    DialogueProgress progress{.dialogues = taken_.dialogues, .hash = taken_.hash, .parts = {}};
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].shards.sync();
      outputs_[i].candidates.sync();
      progress.parts[i] = outputs_[i].done;
      progress.parts[i].shards = outputs_[i].shards.state();
    }
    record_.record(to_json(progress));
    since_record_ = 0;
  }

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

  // Of what is said and asked.
  static std::size_t bytes_of(const Dialogue& dialogue) {
    std::size_t bytes = 0;
    for (const Turn& turn : dialogue.turns) bytes += turn.partner.size() + turn.reply.size();
    return bytes;
  }

  void make_documents(DialogueDocuments& layout, Item& item) const {
    const Dialogue& dialogue = item.dialogue;
    if (options_.history < 0) item.documents.push_back(layout.whole(dialogue));
    for (std::size_t i = 0; i < dialogue.turns.size(); ++i) {
      const Turn& turn = dialogue.turns[i];
      if (turn.reply.empty()) continue;
      ++item.replies;
      if (options_.history >= 0)
        item.documents.push_back(layout.one_reply(dialogue, i, options_.history));
      if (item.output != 0 && !turn.candidates.empty()) add_candidates(layout, i, item);
    }
  }

  void add_candidates(const DialogueDocuments& layout, std::size_t i, Item& item) const {
    const Turn& turn = item.dialogue.turns[i];
    const auto gold = std::find(turn.candidates.begin(), turn.candidates.end(), turn.reply);
    const ordered_json row{
        {"dialogue", item.number},
        {"turn", i},
        {"context", layout.context_text(item.dialogue, i, options_.history)},
        {"context_tokens", layout.context_tokens(item.dialogue, i, options_.history)},
        {"candidates", turn.candidates},
        {"gold", gold - turn.candidates.begin()}};
    item.candidates += row.dump() + "\n";
    ++item.candidate_lists;
  }

  void take(const Item& item) {
    Output& output = outputs_[item.output];
    output.done.replies += item.replies;
    output.done.candidate_lists += item.candidate_lists;
    output.done.candidate_bytes += item.candidates.size();
    output.candidates.write(item.candidates);
    for (const MaskedDocument& document : item.documents) {
      output.shards.append(document.tokens, document.mask);
      ++output.done.documents;
      for (const std::uint8_t counts : document.mask) output.done.counted_tokens += counts;
      tokens_ += static_cast<std::int64_t>(document.tokens.size());
    }
    taken_ = {.dialogues = item.behind, .hash = item.hash};
    since_record_ += bytes_of(item.dialogue);
    if (since_record_ >= options_.journal_bytes) record();
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
    output.tokens = output.shards.total_tokens();
    output.written = output.shards.finish();
    output.candidates.sync();
    output.candidates.close();
    if (output.done.candidate_lists == 0) std::filesystem::remove(output.candidates.path());
  }

  ordered_json describe() const {
    ordered_json d{{"format_version", data::kDatasetFormatVersion},
                   {"created_by", std::string("ovid-data ") + kVersion},
                   {"kind", "persona-chat"},
                   {"tokenizer", "tokenizer"},
                   {"tokenizer_fingerprint", fmt::format("{:016x}", tokenizer_.fingerprint())},
                   {"vocabulary_size", control().vocabulary_size()},
                   {"end_of_text", tokenizer_.end_of_text()}};
    d.update(ordered_json::parse(control_as_json(control())));
    d["dialogues"] = read_;
    d["dropped"] = {{"bad_lines", bad_lines_.count()},
                    {"without_reply", parser_.without_reply()},
                    {"repeated", read_ - dialogues_.size()}};
    d["first_bad_lines"] = bad_lines_.first();
    d["invalid_utf8_replaced"] = parser_.replaced();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Output& output = outputs_[i];
      d[kPartNames[i]] = {{"documents", output.done.documents},
                          {"dialogues", output.dialogues},
                          {"replies", output.done.replies},
                          {"candidate_lists", output.done.candidate_lists},
                          {"tokens", output.tokens},
                          {"counted_tokens", output.done.counted_tokens},
                          {"shards", ordered_json::parse(shards_as_json(output.written))}};
    }
    d["settings"] = {{"split", kSplits[static_cast<int>(options_.split)]},
                     {"validation_fraction", options_.fractions.validation},
                     {"test_fraction", options_.fractions.test},
                     {"seed", options_.fractions.seed},
                     {"history", options_.history},
                     {"shard_tokens", options_.shard_tokens}};
    return d;
  }

  const ControlTokens& control() const { return layouts_.front().control(); }

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
  std::vector<InputFile> files_;
  WorkRecord record_;
  std::optional<DialogueProgress> earlier_;
  BadLines bad_lines_;
  DialogueParser parser_;
  TextSet dialogues_;
  Progress progress_;
  std::deque<Output> outputs_;
  std::deque<DialogueDocuments> layouts_;  // of each thread
  WorkPool pool_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::uint64_t total_bytes_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t hash_ = 0;  // of what was read
  struct Taken {
    std::uint64_t dialogues = 0;
    std::uint64_t hash = 0;
  } taken_;  // the inputs up to the last dialogue that was written
  std::uint64_t since_record_ = 0;
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
  report_end(description, folder);
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
      {.path = options.output,
       .overwrite = options.overwrite,
       .restart = options.restart,
       .json = options.json},
      [&](const Path& folder) { DialogueJob(options, folder).run(); }, report);
}

}  // namespace ovid::data_tools
