#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/data/shard_writer.h"

namespace ovid::data_tools {

// How far a ShardSequence is: enough to go on after the process has died.
struct ShardSequenceState {
  std::vector<data::WrittenShard> complete;  // their paths: the name alone
  std::int64_t open_tokens = 0;              // in the shard behind them; 0 where none is begun
  bool has_mask = false;                     // whether the shards have loss masks
};

// A JSON object for a record of unfinished work, and back. Throws nlohmann's exceptions for what
// the former did not write.
std::string as_json(const ShardSequenceState& state);
ShardSequenceState shard_sequence_state_from(const std::string& json);

// Token shards of one prefix, written one after the other in a folder that nobody reads before it
// is complete. Unlike data::ShardWriter it leaves its files where the work is cut off, and can go
// on from a state that was saved. Throws UsageError for a max_tokens outside [1, 2^31 - 1],
// ResourceError where the disk does not take a write.
class ShardSequence {
 public:
  explicit ShardSequence(data::ShardWriterOptions options);
  ~ShardSequence();

  // Goes on from `state`: the open shard is cut back to its tokens. Only before the first append.
  // Throws DataError where the files of the folder hold less than the state says.
  void restore(const ShardSequenceState& state);

  // Either always with a mask (as many bytes as tokens, each 0 or 1) or always without.
  void append(std::span<const std::uint16_t> tokens, std::span<const std::uint8_t> mask = {});
  // What was appended is on the disk when this returns.
  void sync();
  ShardSequenceState state() const;
  std::int64_t total_tokens() const { return total_tokens_; }

  // Completes the last shard; all shards in order. Call once.
  std::vector<data::WrittenShard> finish();

 private:
  struct OpenShard;
  Path next_path() const;
  void append_again(std::int64_t tokens, bool with_mask);
  void complete_shard();

  data::ShardWriterOptions options_;
  std::unique_ptr<OpenShard> shard_;
  std::vector<data::WrittenShard> complete_;
  std::int64_t total_tokens_ = 0;
};

}  // namespace ovid::data_tools
