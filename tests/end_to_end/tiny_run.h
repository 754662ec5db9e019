#pragma once

#include <string>
#include <vector>

#include "tests/test_files.h"
#include "tests/test_process.h"

namespace ovid::test {

// A folder with a text, its shards under the "bytes" tokenizer and a config of a tiny model (2
// layers, width 32, length 32, global batch 12 in micro-batches of 4) that trains in a few
// milliseconds a step.
class TinyRun {
 public:
  explicit TinyRun(int steps = 30);

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string run_directory(const std::string& name = "demo") const { return path("runs/" + name); }
  std::string checkpoint(int step, const std::string& name = "demo") const;

  std::vector<std::string> train_command(const std::vector<std::string>& overrides = {}) const;
  ProcessResult train(const std::vector<std::string>& overrides = {}) const {
    return run_process(train_command(overrides));
  }

 private:
  TemporaryDirectory folder_;
};

std::string program(const std::string& name);  // "ovid", "ovid-data": of this build

// SHA-like identity of a checkpoint: all bytes of the weights and moments.
std::string weights_and_moments(const std::string& checkpoint);

// (step -> loss and gradient norm as printed) of metrics.jsonl; the last row of a step counts.
std::vector<std::string> losses_by_step(const std::string& run_directory);

}  // namespace ovid::test
