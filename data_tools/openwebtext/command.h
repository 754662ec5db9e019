#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data_tools/dataset_builder.h"
#include "data_tools/openwebtext/document_stages.h"
#include "data_tools/openwebtext/unit_walker.h"

namespace ovid::data_tools::openwebtext {

struct Options {
  std::vector<std::string> inputs;  // files, folders, archives, "-" for standard input
  ReadOptions read;
  std::string output;
  std::string tokenizer;
  StageSettings stages;
  std::vector<std::string> evaluation;  // files of evaluation sets
  double near_duplicate_threshold = 0.8;
  double remove_overlap = 0;                // documents with at least this share go; 0: none
  std::uint64_t most_bad_documents = 1000;  // more end the command
  std::uint64_t most_damaged_archives = 0;  // more end the command
  SplitOptions split;
  std::size_t samples = 5;                  // of what each stage dropped, in the passport
  std::uint64_t memory_mib = 256;           // of each search for duplicates
  std::uint64_t journal_bytes = 256 << 20;  // of text between two records of the progress
  int threads = 0;                          // 0: all cores of this process
  bool overwrite = false;
  bool restart = false;  // forget unfinished work of the same output
  bool json = false;     // passport.json on standard output
};

// OpenWebText, as it is released or mirrored, to token shards, dataset.json and a data passport
// (passport.json, passport.html): read, normalised, without boilerplate lines, filtered, without
// Wikipedia and duplicates. The result is the same for every number of threads and however often
// the work was cut off: the same command goes on with it. Memory does not grow with the input, but
// for two bits a document. Throws UsageError for options out of range or unlike those of the
// unfinished work, DataError where more is bad or damaged than allowed, ResourceError of the disk,
// Interrupted (with progress_kept) at a signal.
void run(const Options& options);

}  // namespace ovid::data_tools::openwebtext
