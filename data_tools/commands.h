#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/control_tokens.h"
#include "data_tools/dataset_builder.h"
#include "data_tools/dataset_files.h"
#include "data_tools/documents.h"
#include "data_tools/pieces.h"

// The commands of ovid-data, one file each. All report to standard error, put data and JSON on
// standard output, and throw the errors of src/core/error.h.
namespace ovid::data_tools {

struct TextOptions {
  InputOptions input;
  std::string output;
  std::string tokenizer;
  SplitOptions split;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::kReplace;
  int threads = 0;  // 0: all cores of this process
  bool overwrite = false;
  bool restart = false;                     // forget unfinished work of the same output
  std::uint64_t journal_bytes = 256 << 20;  // of text between two records of the progress
  bool json = false;                        // the summary as one JSON object
};
// Texts to token shards and dataset.json, the same bytes for every number of threads. The output
// appears whole or not at all. Work that was cut off (a signal, a full disk, a kill) is gone on
// with by the same command, to the same bytes; throws Interrupted with progress_kept where a signal
// stopped it so.
void run_text(const TextOptions& options);

struct AmazonReviewsOptions {
  std::vector<std::string> inputs;
  std::string output;
  std::string tokenizer;
  std::vector<std::string> categories;  // NAME, or FILE=NAME
  ControlKind control = ControlKind::kText;
  bool balance_stars = false;  // of the train part
  PartFractions split;
  std::uint64_t most_bad_lines = 100;
  std::int64_t shard_tokens = 100'000'000;
  int threads = 0;  // 0: all cores of this process
  bool overwrite = false;
  bool restart = false;                     // forget unfinished work of the same output
  std::uint64_t journal_bytes = 256 << 20;  // of records between two records of the progress
  bool json = false;                        // dataset.json on standard output
};
// Reviews to token shards of train, validation and test parts, each review behind its stars and
// category; the same bytes for every number of threads. The output appears whole or not at all.
// Work that was cut off is gone on with by the same command, as that of run_text.
void run_amazon_reviews(const AmazonReviewsOptions& options);

struct PersonaChatOptions {
  enum class Split { kAuto, kSource, kDialogue };
  std::vector<std::string> inputs;
  std::string output;
  std::string tokenizer;
  ControlKind control = ControlKind::kText;
  Split split = Split::kAuto;
  PartFractions fractions;
  std::int64_t history = -1;  // turns before a reply; -1: the whole dialogue in one document
  std::uint64_t most_bad_lines = 100;
  std::int64_t shard_tokens = 100'000'000;
  int threads = 0;  // 0: all cores of this process
  bool overwrite = false;
  bool restart = false;                      // begin anew although there is unfinished work
  std::uint64_t journal_bytes = 256u << 20;  // of text, between two records of the progress
  bool json = false;
};
// Dialogues to token shards with loss masks that count replies alone, and lists of candidates; the
// same bytes for every number of threads. The output appears whole or not at all; what was cut off
// goes on.
void run_persona_chat(const PersonaChatOptions& options);

struct CodecOptions {
  std::string tokenizer;
  bool allow_special = false;
};
// JSON lines {"text"} or {"base64"} from standard input to {"ids"} on standard output, each as soon
// as it is read.
void run_encode(const CodecOptions& options);
// JSON lines {"ids"} to {"text"}, with {"base64"} where the bytes are not UTF-8.
void run_decode(const CodecOptions& options);

struct TrainTokenizerOptions {
  InputOptions input;
  std::string output;
  int vocabulary_size = 0;
  std::uint64_t minimum_count = 1;
  bool overwrite = false;
};
// Learns a vocabulary from texts and writes its files.
void run_train_tokenizer(const TrainTokenizerOptions& options);

struct InspectOptions {
  std::string shard;
  std::string tokenizer;  // empty: the one that dataset.json beside the shard names
  std::int64_t documents = 3;
  std::int64_t tokens = 64;  // of each document
  bool json = false;
};
// What a shard holds: header, counts, token range, the first documents decoded.
void run_inspect(const InspectOptions& options);

}  // namespace ovid::data_tools
