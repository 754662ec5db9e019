#include "data_tools/openwebtext/command.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data_tools/byte_source.h"
#include "data_tools/dataset_files.h"
#include "data_tools/interruption.h"
#include "data_tools/openwebtext/corpus_job.h"
#include "data_tools/openwebtext/passport.h"
#include "data_tools/output_folder.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::data_tools::openwebtext {
namespace {

using nlohmann::ordered_json;

constexpr int kMostThreads = 1024;
constexpr std::size_t kMostSamples = 1000;
constexpr std::uint64_t kMostMemoryMib = 1 << 20;
constexpr std::uint64_t kMostDocumentBytes = 256 << 20;

void check_range(const char* flag, double value, double least, double most) {
  if (value >= least && value <= most) return;
  throw UsageError(fmt::format("{} {} is outside {} to {}", flag, value, least, most));
}

void check(const Options& options) {
  check_range("--threads", options.threads, 0, kMostThreads);
  check_range("--near-duplicates", options.near_duplicate_threshold, 0.01, 1);
  check_range("--remove-overlap", options.remove_overlap, 0, 1);
  check_range("--samples", static_cast<double>(options.samples), 0, kMostSamples);
  check_range("--memory-mib", static_cast<double>(options.memory_mib), 1, kMostMemoryMib);
  check_range("--max-document-bytes", static_cast<double>(options.read.most_document_bytes), 1,
              kMostDocumentBytes);
  check_range("--journal-bytes", static_cast<double>(options.journal_bytes), 1, 1e15);
  if (!(options.stages.min_words >= 0 && options.stages.max_words >= options.stages.min_words)) {
    throw UsageError(fmt::format("--min-words {} and --max-words {}: none fits both",
                                 options.stages.min_words, options.stages.max_words));
  }
  if (options.remove_overlap > 0 && options.evaluation.empty()) {
    throw UsageError("--remove-overlap needs --evaluation FILE...: what to compare with");
  }
}

void tell_of_kept_work(const OutputFolder& output) {
  log::info(
      fmt::format("the work so far is kept in {}; the same command goes on, --restart begins anew",
                  output.working_path().string()));
}

// Fills the working folder, or leaves it in the state that is to be kept.
void fill(const Options& options, OutputFolder& output) {
  const tokenizer::Tokenizer tokenizer = load_shard_tokenizer(options.tokenizer);
  const std::vector<InputFile> inputs = list_inputs(options.inputs);
  EvaluationSets evaluation = load_evaluation_sets(options.evaluation);
  Journal journal(output.working_path(), options, tokenizer.fingerprint(), inputs,
                  evaluation.files);
  CorpusJob job(options, tokenizer, inputs, evaluation, output.working_path(), journal);
  const auto keep = [&] {
    if (!journal.has_record()) return false;
    output.keep();
    tell_of_kept_work(output);
    return true;
  };
  try {
    job.run();
  } catch (Interrupted& interrupted) {
    job.record_if_possible();
    interrupted.progress_kept = keep();
    throw;
  } catch (const DataError&) {
    job.record_if_possible();
    keep();
    throw;
  } catch (const Error&) {
    keep();
    throw;
  }
}

void report(const ordered_json& passport, const Path& folder) {
  for (const ordered_json& stage : passport.at("stages")) {
    std::string reasons;
    for (const auto& [reason, count] : stage.at("dropped").items()) {
      reasons +=
          fmt::format("{}{} {}", reasons.empty() ? ": " : ", ", count.get<std::uint64_t>(), reason);
    }
    const auto in = stage.at("documents_in").get<std::uint64_t>();
    const auto out = stage.at("documents_out").get<std::uint64_t>();
    log::info(fmt::format("{:<16} {:>10} documents in, {:>10} out, {:>8} dropped{}",
                          stage.at("stage").get<std::string>(), in, out, in - out, reasons));
  }
  for (const ordered_json& set : passport.at("evaluation_overlap").at("sets")) {
    log::info(fmt::format("{}: {:.3f} % of its 8-grams stand in the corpus",
                          set.at("set").get<std::string>(),
                          100 * set.at("fraction").get<double>()));
  }
  for (const char* part : {"train", "validation"}) {
    const ordered_json& described = passport.at("outputs").at(part);
    if (described.at("tokens") == 0) continue;
    log::info(fmt::format("{}: {} tokens of {} documents in {} shards", part,
                          described.at("tokens").get<std::int64_t>(),
                          described.at("documents").get<std::int64_t>(),
                          described.at("shards").size()));
  }
  const auto damaged = passport.at("left_out").at("damaged_archives").get<std::uint64_t>();
  if (damaged > 0) log::warning(fmt::format("{} archives were damaged", damaged));
  log::info(
      fmt::format("written to {}, with the data passport {}", folder.string(), kPassportPageName));
}

}  // namespace

void run(const Options& options) {
  check(options);
  OutputFolder output({.path = options.output,
                       .marker = "dataset.json",
                       .belongs = is_dataset_file,
                       .overwrite = options.overwrite,
                       .journal = Journal::kName,
                       .restart = options.restart});
  if (!output.only_commit_is_left()) fill(options, output);
  output.commit();
  const std::string text = read_file(output.final_path() / kPassportName);
  const ordered_json passport = ordered_json::parse(text);
  report(passport, output.final_path());
  if (options.json) write_output(passport.dump() + "\n");
}

}  // namespace ovid::data_tools::openwebtext
