#include <fmt/format.h>

#include "data_tools/commands.h"
#include "data_tools/output_folder.h"
#include "data_tools/progress.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/tokenizer/train.h"

namespace ovid::data_tools {
namespace {

bool is_tokenizer_file(const std::string& name) {
  return name == "vocab.json" || name == "merges.txt" || name == "tokenizer.json" ||
         name == "tokenizer_config.json" || name == "special_tokens_map.json";
}

}  // namespace

void run_train_tokenizer(const TrainTokenizerOptions& options) {
  constexpr int kLeast = 257;
  if (options.vocabulary_size < kLeast || options.vocabulary_size > tokenizer::kMaximumVocabulary) {
    throw UsageError(fmt::format("--vocabulary-size {} is outside {} to {}",
                                 options.vocabulary_size, kLeast, tokenizer::kMaximumVocabulary));
  }
  const std::vector<InputFile> files = list_inputs(options.input.inputs);
  OutputFolder output({.path = options.output,
                       .marker = "tokenizer.json",
                       .belongs = is_tokenizer_file,
                       .overwrite = options.overwrite});
  Progress progress;
  Progress::Now now;
  WorkPool pool(WorkPool::cores());
  std::vector<tokenizer::WordCounter> counters(pool.threads());
  PieceBatcher pieces(
      InvalidUtf8::kReplace, pool,
      [&](std::size_t worker, Piece& piece) { counters[worker].add_document(piece.text); },
      [&](Piece& piece) {
        now.bytes += piece.text.size();
        now.documents += piece.ends_document ? 1 : 0;
        progress.update(now);
      });
  walk_documents({.options = options.input, .files = files}, pool, pieces);
  pieces.finish();
  log::info(progress.summary(now));
  for (std::size_t i = 1; i < counters.size(); ++i) {
    counters[0].add(counters[i]);
    counters[i] = {};
  }
  if (now.documents == 0) {
    throw DataError("the inputs hold no text; nothing was written: check --input (and --field)");
  }
  const tokenizer::Tokenizer tokenizer = tokenizer::train(
      counters[0],
      {.vocabulary_size = options.vocabulary_size, .minimum_count = options.minimum_count});
  tokenizer.save(output.working_path());
  output.commit();
  log::info(fmt::format("{} tokens written to {}", tokenizer.vocabulary_size(),
                        output.final_path().string()));
}

}  // namespace ovid::data_tools
