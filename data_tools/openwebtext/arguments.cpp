#include "data_tools/openwebtext/arguments.h"

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "data_tools/shared_options.h"

namespace ovid::data_tools::openwebtext {
namespace {

void add_filter_options(CLI::App& command, Options& options) {
  StageSettings& stages = options.stages;
  command.add_flag(
      "--keep-boilerplate",
      [&stages](std::int64_t count) { stages.remove_boilerplate = count == 0; },
      "Keep lines of cookies, sharing, navigation, advertisement");
  const std::map<std::string, bool> languages{{"en", true}, {"any", false}};
  command.add_option("--language", stages.english_only, "en: English only; any: all stay")
      ->transform(CLI::CheckedTransformer(languages).description(""))
      ->type_name("CHOICE");
  const std::map<std::string, Quality> qualities{{"length", Quality::kLength},
                                                 {"gopher", Quality::kGopher}};
  command
      .add_option("--quality", stages.quality,
                  "length: --min-words and --max-words alone; gopher: also the rules of quality "
                  "and repetition that Gopher's data had")
      ->transform(CLI::CheckedTransformer(qualities).description(""))
      ->type_name("CHOICE");
  command.add_option("--min-words", stages.min_words, "Shorter documents go")
      ->capture_default_str();
  command.add_option("--max-words", stages.max_words, "Longer documents go")->capture_default_str();
  command.add_flag(
      "--keep-wikipedia", [&stages](std::int64_t count) { stages.remove_wikipedia = count == 0; },
      "Keep Wikipedia's articles, which WebText left out");
  command
      .add_option("--near-duplicates", options.near_duplicate_threshold,
                  "Least similarity (Jaccard, of runs of 5 words) at which the later of two "
                  "documents goes; 1: none but equal ones")
      ->capture_default_str();
  command
      .add_option("--evaluation", options.evaluation,
                  "Files of evaluation sets: how much of their 8-grams stands in the corpus is "
                  "reported")
      ->type_name("PATH...");
  command
      .add_option("--remove-overlap", options.remove_overlap,
                  "Documents go of whose 8-grams at least this share stands in evaluation sets; "
                  "0: none")
      ->capture_default_str();
}

void add_run_options(CLI::App& command, Options& options) {
  command
      .add_option("--validation-fraction", options.split.validation_fraction,
                  "0 to 0.5, of the documents")
      ->capture_default_str();
  command.add_option("--seed", options.split.seed, "Chooses the validation documents")
      ->capture_default_str();
  command.add_option("--shard-tokens", options.split.shard_tokens, "Most tokens of a shard")
      ->capture_default_str();
  command.add_option("--samples", options.samples, "Of what each stage dropped, in the passport")
      ->capture_default_str();
  command.add_option("--memory-mib", options.memory_mib, "For sorting, by each search")
      ->capture_default_str();
  add_resume_options(command, options.restart, options.journal_bytes);
  command.add_flag("--json", options.json, "Print passport.json on standard output");
}

}  // namespace

void add_command(CLI::App& app, Options& options) {
  CLI::App& command = *app.add_subcommand(
      "openwebtext", R"(Turns OpenWebText into token shards with a data passport.

Examples:
  ovid-data openwebtext --input openwebtext.tar.xz --output openwebtext --tokenizer gpt2/
  ovid-data openwebtext --input mirror/*.jsonl.zst --output openwebtext --tokenizer gpt2/ \
    --evaluation lambada_test.jsonl wiki.test.tokens --remove-overlap 0.1

Reads the release as it is (archives in archives), JSON lines and arrays with a text (.jsonl, .json,
compressed), folders of texts, all streamed: nothing is unpacked to the disk. Stages: read,
normalise, boilerplate lines, language, quality, Wikipedia, exact duplicates, near-duplicates,
overlap with evaluation sets, split, tokens. passport.json and passport.html tell what each stage
dropped and why, with samples, and the hashes of inputs and outputs. Until duplicates are known the
tokens wait beside the output: two bytes each, and 600 bytes a document. A run that was stopped (a
signal, a kill, a full disk) goes on where it was when the same command is given again.
)");
  command.add_option("--input,--from", options.inputs, kInputHelp)
      ->required()
      ->type_name("PATH...");
  add_output_options(command, options);
  command.add_option("--field", options.read.field,
                     "The text's field in JSON; else text, content or raw_content");
  const std::map<std::string, InputFormat> formats{{"auto", InputFormat::kByName},
                                                   {"text", InputFormat::kText},
                                                   {"jsonl", InputFormat::kJsonLines}};
  command
      .add_option("--format", options.read.format,
                  "auto (by name: .jsonl, .ndjson, .json), text or jsonl")
      ->transform(CLI::CheckedTransformer(formats).description(""))
      ->type_name("FORMAT");
  add_filter_options(command, options);
  command
      .add_option("--max-bad-documents", options.most_bad_documents,
                  "Broken records, texts that are none or too large, members that are links or "
                  "lead outside are left out and told; more end the command with exit code 3")
      ->capture_default_str();
  command
      .add_option("--max-damaged-archives", options.most_damaged_archives,
                  "The same for archives that end early, are damaged or expand like a bomb")
      ->capture_default_str();
  command
      .add_option("--max-document-bytes", options.read.most_document_bytes,
                  "A larger document is a bad one")
      ->capture_default_str();
  add_run_options(command, options);
  command.callback([&options] { run(options); });
}

}  // namespace ovid::data_tools::openwebtext
