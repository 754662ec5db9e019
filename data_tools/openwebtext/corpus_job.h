#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/duplicates/near_duplicates.h"
#include "data_tools/input_files.h"
#include "data_tools/openwebtext/command.h"
#include "data_tools/openwebtext/corpus_reader.h"
#include "data_tools/openwebtext/document_stages.h"
#include "data_tools/openwebtext/evaluation_sets.h"
#include "data_tools/openwebtext/journal.h"
#include "data_tools/openwebtext/token_spool.h"
#include "data_tools/ordered_batches.h"
#include "data_tools/progress.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools::openwebtext {

// A document, the place behind it, and what the stages made of it.
struct WorkedItem {
  Item item;
  Place behind;
  Outcome outcome;
};

// One run of the command, from its inputs to the complete working folder. First all inputs are
// read, and documents that pass the stages that look at one alone wait in a TokenSpool; then
// duplicates are known, and what stays is copied into shards.
class CorpusJob : private CorpusVisitor {
 public:
  // Keeps references.
  CorpusJob(const Options& options, const tokenizer::Tokenizer& tokenizer,
            const std::vector<InputFile>& inputs, EvaluationSets& evaluation, const Path& folder,
            Journal& journal);
  ~CorpusJob() override;

  // Everything, from where the journal says. The folder holds what is to be moved in place when it
  // returns.
  void run();
  // After Interrupted, or DataError: keeps what was done, where that can be gone on from.
  void record_if_possible();

 private:
  void take(Item&& item, const Place& behind) override;
  void end_input(std::uint64_t input, std::uint64_t bytes, const std::string& checksum) override;

  void begin();
  void read_all();
  void take_worked(WorkedItem& worked);
  void check_limits() const;
  void record();
  void write();
  void clean_up();
  Progress::Now now() const;

  const Options& options_;
  const tokenizer::Tokenizer& tokenizer_;
  const std::vector<InputFile>& inputs_;
  EvaluationSets& evaluation_;
  Path folder_;
  Path duplicates_folder_;
  Journal& journal_;
  WorkState state_;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::uint64_t total_bytes_ = 0;
  std::uint64_t recorded_bytes_ = 0;
  bool reading_ = false;
  bool taking_ = false;
  std::optional<TokenSpool> spool_;
  std::optional<duplicates::ExactDuplicateFinder> exact_;
  std::optional<duplicates::NearDuplicateFinder> near_;
  std::optional<Progress> progress_;
  WorkPool pool_;
  std::vector<std::unique_ptr<DocumentStages>> stages_;  // of each worker
  std::optional<OrderedBatches<WorkedItem>>
      work_;  // last: its end stops the pool before what tasks refer to goes
};

}  // namespace ovid::data_tools::openwebtext
