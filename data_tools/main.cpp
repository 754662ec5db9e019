#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "data_tools/byte_source.h"
#include "data_tools/commands.h"
#include "data_tools/interruption.h"
#include "data_tools/openwebtext/arguments.h"
#include "data_tools/shared_options.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/program.h"
#include "src/core/version.h"

namespace {

using namespace ovid;
using namespace ovid::data_tools;

constexpr const char* kDescription = R"(Makes training data for Ovid: token shards from texts.

Examples:
  ovid-data text --input corpus/ --output data --tokenizer gpt2/
  ovid-data text --input reviews.jsonl.gz --field review --output data --tokenizer bytes
  ovid-data train-tokenizer --input corpus.txt --vocabulary-size 8000 --output tokenizer
  echo '{"text": "Hello"}' | ovid-data encode --tokenizer gpt2/
  ovid-data amazon-reviews --input AMAZON_FASHION_5.json.gz --category Fashion --output reviews \
    --tokenizer gpt2/
  ovid-data persona-chat --input personachat_self_original.json --output dialogues --tokenizer gpt2/
  ovid-data openwebtext --input openwebtext.tar.xz --output openwebtext --tokenizer gpt2/
  ovid-data inspect data/train_000000.bin

TOKENIZER is a folder with vocab.json and merges.txt (or encoder.json and vocab.bpe), a .tiktoken
file, or the word bytes.
Exit codes: 0 done, 1 bug, 2 usage, 3 data, 6 resources (disk, memory, permission), 75 stopped by a
signal with the work kept (the same command goes on), 130 or 143 stopped without.
)";

void add_input_options(CLI::App& command, InputOptions& input) {
  command
      .add_option("--input", input.inputs,
                  "Files, folders (walked in sorted order), archives, or - for standard input. One "
                  "document per "
                  "plain file, per archive member, per line of .jsonl")
      ->required()
      ->type_name("PATH...");
  command.add_option("--field", input.field, "The text's field in JSON lines")
      ->capture_default_str();
  const std::map<std::string, InputFormat> formats{{"auto", InputFormat::kByName},
                                                   {"text", InputFormat::kText},
                                                   {"jsonl", InputFormat::kJsonLines}};
  command.add_option("--format", input.format, "auto (by name: .jsonl, .ndjson), text or jsonl")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("FORMAT");
  command.add_flag("--skip-missing", input.skip_missing_field,
                   "Pass over JSON lines without the field");
  const std::map<std::string, bool> bad_lines{{"error", false}, {"skip", true}};
  command
      .add_option("--bad-lines", input.skip_bad_lines,
                  "JSON lines that are no object with a text: error, or skip (counted)")
      ->transform(CLI::CheckedTransformer(bad_lines).description(""))
      ->type_name("CHOICE");
  command.add_option("--most-bad-lines", input.most_bad_lines, "More of them are an error anyway")
      ->capture_default_str();
}

void add_text(CLI::App& app, TextOptions& options) {
  CLI::App& command = *app.add_subcommand("text", R"(Turns texts into token shards and dataset.json.

Examples:
  ovid-data text --input book.txt --output data --tokenizer bytes --validation-fraction 0.1
  ovid-data text --input corpus.tar.xz more/ --output data --tokenizer gpt2/
  zcat dump.gz | ovid-data text --input - --output data --tokenizer gpt2/

A run that was stopped (a signal, a kill, a full disk) goes on where it was when the same command is
given again; what comes from a pipe must then come again, from its start.
)");
  add_input_options(command, options.input);
  add_output_options(command, options);
  command
      .add_option("--validation-fraction", options.split.validation_fraction,
                  "0 to 0.5, of the documents; with fewer than 2 / fraction documents, of each "
                  "one's text, from its "
                  "end")
      ->capture_default_str();
  command.add_option("--seed", options.split.seed, "Chooses the validation documents")
      ->capture_default_str();
  command.add_option("--shard-tokens", options.split.shard_tokens, "Most tokens of a shard")
      ->capture_default_str();
  const std::map<std::string, InvalidUtf8> choices{{"replace", InvalidUtf8::kReplace},
                                                   {"error", InvalidUtf8::kError},
                                                   {"bytes", InvalidUtf8::kBytes}};
  command
      .add_option("--invalid-utf8", options.invalid_utf8,
                  "replace (by U+FFFD, counted), error, or bytes (kept)")
      ->transform(CLI::CheckedTransformer(choices).description(""))
      ->type_name("CHOICE");
  add_resume_options(command, options.restart, options.journal_bytes);
  command.add_flag("--json", options.json, "Print dataset.json on standard output");
  command.callback([&options] { run_text(options); });
}

// The options that both sources of fine-tuning data have.
template <typename Options>
void add_fine_tuning_options(CLI::App& command, Options& options, PartFractions& fractions,
                             const std::map<std::string, ControlKind>& kinds) {
  command.add_option("--input", options.inputs, kInputHelp)->required()->type_name("PATH...");
  add_output_options(command, options);
  command
      .add_option("--control", options.control,
                  "Control words as text, or as tokens added behind the vocabulary")
      ->transform(CLI::CheckedTransformer(kinds).description(""))
      ->type_name("KIND");
  command
      .add_option("--validation-fraction", fractions.validation,
                  "0 to 0.5, the share that is kept for validation")
      ->capture_default_str();
  command.add_option("--test-fraction", fractions.test, "The same for the test part")
      ->capture_default_str();
  command.add_option("--seed", fractions.seed, "Chooses the parts")->capture_default_str();
  command
      .add_option("--max-bad-lines", options.most_bad_lines,
                  "Broken records are counted, told with file and line, and left out; more than "
                  "this many end the command with exit code 3")
      ->capture_default_str();
  command.add_option("--shard-tokens", options.shard_tokens, "Most tokens of a shard")
      ->capture_default_str();
  command.add_flag("--json", options.json, "Print dataset.json on standard output");
}

void add_amazon_reviews(CLI::App& app, AmazonReviewsOptions& options) {
  CLI::App& command = *app.add_subcommand(
      "amazon-reviews",
      R"(Turns Amazon reviews into token shards, each behind its stars and category.

Examples:
  ovid-data amazon-reviews --input AMAZON_FASHION_5.json.gz --category Fashion \
    --output reviews --tokenizer gpt2/
  ovid-data amazon-reviews --input amazon_reviews_us_*.tsv.gz --output reviews --tokenizer gpt2/ \
    --control tokens --balance stars
  ovid-data amazon-reviews --input a.json.gz b.json.gz --category a.json.gz=Books \
    --category b.json.gz=Music --output reviews --tokenizer gpt2/

Reads the releases of 2014 (also the older files of Python dicts), 2018 and 2023 as JSON lines or
one JSON array, and the TSV files with product_category. A document is

  <|stars:5|> <|category:Fashion|>
  HEADLINE
  BODY

where with --control tokens each <|...|> is one added token and no space parts them, and with
--control none the first line is empty: for a model to compare with. <br /> becomes
a line end, &#34; and the like their characters. Reviews without a body, and all but the first of
those with the same body (but for case, spaces and punctuation), are counted and left out. What
remains is split by product, so no product and no text is in two parts. Held-out texts are also in
validation_reviews.jsonl and test_reviews.jsonl. Memory: a hash of 16 bytes for each distinct text,
21 to 43 bytes with its table, whatever the length of texts. A run that was stopped (a signal, a
kill, a full disk) goes on where it was when the same command is given again.
)");
  add_fine_tuning_options(command, options, options.split,
                          {{"text", ControlKind::kText},
                           {"tokens", ControlKind::kTokens},
                           {"none", ControlKind::kNone}});
  command
      .add_option("--category", options.categories,
                  "Category of reviews that do not say it; FILE=NAME: of those in that file")
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("NAME");
  const std::map<std::string, bool> balances{{"none", false}, {"stars", true}};
  command
      .add_option("--balance", options.balance_stars,
                  "stars: of the training reviews, as many of each number of stars as the rarest "
                  "has, chosen by --seed")
      ->transform(CLI::CheckedTransformer(balances).description(""))
      ->type_name("CHOICE");
  add_resume_options(command, options.restart, options.journal_bytes);
  command.callback([&options] { run_amazon_reviews(options); });
}

void add_persona_chat(CLI::App& app, PersonaChatOptions& options) {
  CLI::App& command = *app.add_subcommand(
      "persona-chat", R"(Turns PERSONA-CHAT dialogues into token shards with loss masks.

Examples:
  ovid-data persona-chat --input personachat_self_original.json --output dialogues --tokenizer gpt2/
  ovid-data persona-chat --input train_self_original.txt valid_self_original.txt \
    --output dialogues --tokenizer gpt2/ --control tokens --history 5

Reads ParlAI's text, with and without candidates, and the JSON layout {"train": [...], "valid":
[...]}. A document is

  <|persona|> i like tea.
  <|partner|> hello , how are you ?
  <|self|> fine , i am having tea .

with a line for each trait and each utterance; <|...|> are text, or added tokens with --control
tokens. Only what follows <|self|>, to its line end, counts in the loss: train_000000.mask says so.
With --history N each reply is a document of its own behind the persona and the N utterances before
it. Candidates of the held-out parts are kept in candidates_validation.jsonl and
candidates_test.jsonl. Repeated dialogues are left out (16 bytes of memory for each, 21 to 43 with
their table). A run that was stopped (Ctrl-C,
kill, a full disk) goes on where it was when the same command is given again.
)");
  add_fine_tuning_options(command, options, options.fractions,
                          {{"text", ControlKind::kText}, {"tokens", ControlKind::kTokens}});
  using Split = PersonaChatOptions::Split;
  const std::map<std::string, Split> splits{
      {"auto", Split::kAuto}, {"source", Split::kSource}, {"dialogue", Split::kDialogue}};
  command
      .add_option("--split", options.split,
                  "source: as the JSON's keys or the files' names begin (train, valid, dev, test); "
                  "dialogue: by the fractions, both sides of a conversation together; auto: source "
                  "where it says, else dialogue")
      ->transform(CLI::CheckedTransformer(splits).description(""))
      ->type_name("CHOICE");
  command
      .add_option("--history", options.history,
                  "Utterances before each reply; -1: a document is a whole dialogue, and all of "
                  "its replies count")
      ->capture_default_str();
  add_resume_options(command, options.restart, options.journal_bytes);
  command.callback([&options] { run_persona_chat(options); });
}

void add_codec(CLI::App& app, CodecOptions& encode, CodecOptions& decode) {
  CLI::App& encoder =
      *app.add_subcommand("encode", R"(JSON lines of text to JSON lines of token ids.

Example:
  echo '{"text": "Hello"}' | ovid-data encode --tokenizer gpt2/        prints {"ids":[15496]}

A line is {"text": "..."}, or {"base64": "..."} for bytes that are not UTF-8.
)");
  add_tokenizer_option(encoder, encode.tokenizer);
  encoder.add_flag("--allow-special", encode.allow_special,
                   "Make <|endoftext|>, and each added token, one token");
  encoder.callback([&encode] { run_encode(encode); });

  CLI::App& decoder =
      *app.add_subcommand("decode", R"(JSON lines of token ids to JSON lines of text.

Example:
  echo '{"ids": [15496]}' | ovid-data decode --tokenizer gpt2/         prints {"text":"Hello"}

Where the bytes are not UTF-8, "base64" holds them and "text" has U+FFFD in their place.
)");
  add_tokenizer_option(decoder, decode.tokenizer);
  decoder.callback([&decode] { run_decode(decode); });
}

void add_train_tokenizer(CLI::App& app, TrainTokenizerOptions& options) {
  CLI::App& command =
      *app.add_subcommand("train-tokenizer", R"(Learns a byte-level BPE vocabulary from texts.

Example:
  ovid-data train-tokenizer --input corpus/ --vocabulary-size 8000 --output tokenizer
)");
  add_input_options(command, options.input);
  command
      .add_option("--output", options.output, "Folder for vocab.json, merges.txt, tokenizer.json")
      ->required()
      ->type_name("DIR");
  command
      .add_option("--vocabulary-size", options.vocabulary_size,
                  "257 to 65536: bytes, merges, <|endoftext|>")
      ->required()
      ->type_name("N");
  command
      .add_option("--minimum-count", options.minimum_count, "Pairs that are rarer are not merged")
      ->capture_default_str();
  command.add_flag("--overwrite", options.overwrite, "Replace a tokenizer that --output holds");
  command.callback([&options] { run_train_tokenizer(options); });
}

void add_inspect(CLI::App& app, InspectOptions& options) {
  CLI::App& command = *app.add_subcommand("inspect", R"(Shows what a token shard holds.

Examples:
  ovid-data inspect data/train_000000.bin
  ovid-data inspect openwebtext/val.bin --tokenizer gpt2/ --documents 10 --json
)");
  command.add_option("shard", options.shard, "A token shard")->required()->type_name("SHARD");
  command
      .add_option("--tokenizer", options.tokenizer,
                  "To decode with, where dataset.json beside the shard names none")
      ->type_name("TOKENIZER");
  command.add_option("--documents", options.documents, "How many to show")->capture_default_str();
  command.add_option("--tokens", options.tokens, "How many of each to show")->capture_default_str();
  command.add_flag("--json", options.json, "One JSON object");
  command.callback([&options] { run_inspect(options); });
}

ExitCode run(int argc, char** argv) {
  CLI::App app(kDescription, "ovid-data");
  app.set_version_flag("--version", std::string("ovid-data ") + kVersion);
  app.require_subcommand(1);
  TextOptions text;
  AmazonReviewsOptions amazon_reviews;
  PersonaChatOptions persona_chat;
  openwebtext::Options openwebtext_options;
  CodecOptions encode;
  CodecOptions decode;
  TrainTokenizerOptions train_tokenizer;
  InspectOptions inspect;
  add_text(app, text);
  add_amazon_reviews(app, amazon_reviews);
  add_persona_chat(app, persona_chat);
  openwebtext::add_command(app, openwebtext_options);
  add_codec(app, encode, decode);
  add_train_tokenizer(app, train_tokenizer);
  add_inspect(app, inspect);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0)
      return static_cast<ExitCode>(app.exit(error));  // --help, --version
    log::error(fmt::format("{}; ovid-data --help shows the commands", error.what()));
    return ExitCode::kUsage;
  }
  return ExitCode::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  catch_signals();
  return static_cast<int>(ovid::run_guarded([&] {
    try {
      return run(argc, argv);
    } catch (const Interrupted& interrupted) {
      if (interrupted.progress_kept) return ExitCode::kStoppedAndSaved;
      constexpr int kSignalExit = 128;
      return static_cast<ExitCode>(kSignalExit + interrupted.signal);
    } catch (const OutputClosed&) {
      return ExitCode::kDone;
    }
  }));
}
