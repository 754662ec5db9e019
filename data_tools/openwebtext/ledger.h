#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data_tools/openwebtext/document_stages.h"

namespace ovid::data_tools::openwebtext {

// What one stage let pass and dropped.
struct StageTally {
  std::uint64_t documents_in = 0;
  std::uint64_t documents_out = 0;
  std::uint64_t bytes_in = 0;  // of text
  std::uint64_t bytes_out = 0;
  std::map<std::string, std::uint64_t> dropped;  // documents, by reason
  std::map<std::string, std::uint64_t> changes;  // characters and lines, by kind
};

// One of the documents that a stage dropped, to look at.
struct DroppedSample {
  std::uint64_t key = 0;  // the samples are those of the smallest keys: a hash of the name
  std::string name;
  std::string reason;
  double figure = 0;
  double limit = 0;
  std::string excerpt;
  std::string kept;  // of a duplicate: the name of the one that stays, and how it begins
  std::string kept_excerpt;
};

struct InputRecord {
  std::string path;
  std::uint64_t bytes = 0;
  std::string checksum;
};

// The account of a run: counts at each stage, samples of what was dropped, inputs. What is counted
// depends on the items and their order alone.
class Ledger {
 public:
  explicit Ledger(std::size_t samples) : most_samples_(samples) {}

  // The stages that look at one document.
  void count(const Item& item, const Outcome& outcome);
  // The later ones.
  void pass(Stage stage, std::uint64_t bytes);
  void drop(Stage stage, std::uint64_t bytes, DroppedSample sample);
  void note(Stage stage, const char* change, std::uint64_t count);
  // Whether drop() would keep a sample of that name: its excerpts need not be made otherwise.
  bool wants_sample(Stage stage, std::string_view name) const;
  void clear(Stage stage);
  void set_input(std::uint64_t input, InputRecord record);

  std::uint64_t documents_read() const { return tally(Stage::kRead).documents_in; }
  std::uint64_t bytes_read() const { return tally(Stage::kRead).bytes_in; }
  std::uint64_t damaged() const { return damaged_; }
  std::uint64_t bad() const { return bad_; }  // items that are no documents, but for damage
  const std::vector<std::string>& first_bad() const { return first_bad_; }

  const StageTally& tally(Stage stage) const { return stages_[static_cast<std::size_t>(stage)]; }
  const std::vector<DroppedSample>& samples(Stage stage) const {
    return samples_[static_cast<std::size_t>(stage)];
  }
  const std::vector<InputRecord>& inputs() const { return inputs_; }

  // As JSON and back, for the journal. from_json throws nlohmann's exceptions where it is damaged.
  std::string to_json() const;
  static Ledger from_json(const std::string& json);

 private:
  static constexpr std::size_t kFirstBad = 20;
  StageTally& at(Stage stage) { return stages_[static_cast<std::size_t>(stage)]; }
  void keep_sample(Stage stage, DroppedSample sample);

  std::size_t most_samples_;
  std::array<StageTally, kStages> stages_;
  std::array<std::vector<DroppedSample>, kStages> samples_;  // by key, ascending
  std::vector<InputRecord> inputs_;
  std::vector<std::string> first_bad_;  // "file: member: reason"
  std::uint64_t damaged_ = 0;
  std::uint64_t bad_ = 0;
};

// The stages, samples and inputs of a ledger as the JSON of a passport.
std::string stages_as_json(const Ledger& ledger);
std::string inputs_as_json(const Ledger& ledger);

}  // namespace ovid::data_tools::openwebtext
