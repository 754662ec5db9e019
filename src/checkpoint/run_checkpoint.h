#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/file.h"
#include "src/model/model_config.h"

// The checkpoints of a run: RUN/checkpoints/step-00001234/, each a Hugging Face model directory
// with optimizer state, training state and a manifest of all sizes and hashes beside the model. A
// checkpoint appears under its name only when every byte of it is on disk; whatever interrupts a
// save leaves the earlier ones as they were.
namespace ovid::checkpoint {

// The ranks that write one checkpoint together, each what it has, into one folder of a file system
// that all of them see. They say nothing to each other but through files: no rank's training waits
// for another's disk.
struct WritingRanks {
  int rank = 0;
  int count = 1;
  // The same on all ranks and of this attempt alone; not looked at where count is 1.
  std::uint64_t attempt = 0;
  double timeout_seconds = 600;  // how long rank 0 waits for the others' files, and they for it
};

struct CheckpointContent {
  model::ModelConfig config;
  std::optional<std::int64_t>
      end_of_text;  // id of <|endoftext|> for config.json; absent: see model_config_json
  // float32. Whole tensors: exactly those of gpt2_tensors(config), on rank 0 alone. Or parts as of
  // `optimizer`: those of all ranks together are every element once.
  std::vector<NamedTensor> parameters;
  // A second set of the same tensors: an average of the weights over time. Goes into average/, a
  // Hugging Face model directory inside the checkpoint. Empty on all ranks: there is none.
  std::vector<NamedTensor> average = {};
  // Into optimizer-NNNNN.safetensors, NNNNN the rank. Any names ("exp_avg.transformer.wte.weight");
  // a part of a tensor, elements [begin, end) in C order, is named "NAME@begin:end" and is flat.
  std::vector<NamedTensor> optimizer;
  std::string state_json;  // state.json, as it is
  std::optional<Path>
      tokenizer;  // a directory (or one .tiktoken file) whose tokenizer files are copied
  std::map<std::string, std::string> texts;  // further small files: name to content
  std::map<std::string, std::string>
      metadata;  // kept in manifest.json: build, config hash, number of ranks
  // Ranks other than 0 write tensors only: state, tokenizer, texts and metadata are rank 0's.
  WritingRanks ranks = {};
};

struct Retention {
  int keep_last = 3;  // the newest so many valid ones stay; at least 1
  std::optional<std::int64_t> best_step = std::nullopt;  // stays; as do step 0 and what is pinned
  std::int64_t keep_every = 0;                           // steps divisible by it stay; 0: no such
};

// Writes RUN/checkpoints/step-NNNNNNNN and returns its path; on return it is durable, `latest`
// names it (a hint only) and older checkpoints beyond `retention` are gone. Synchronous: the views
// are read before it returns. Checks the free space first. Throws ResourceError with the previous
// checkpoints untouched and nothing left of the new one; failures of `latest` and of pruning, which
// come after the commit, are only warned of. An existing checkpoint of the same step is replaced:
// it is set aside under a hidden name until the new one is durable, and clean_up_unfinished brings
// it back after a crash in between.
//
// With several ranks all call it, each with its own content, and all return, or throw, by what
// became of the whole: what one cannot write, or a rank that does not come within the timeout,
// fails it for all.
Path write_checkpoint(const Path& run_directory, std::int64_t step,
                      const CheckpointContent& content, const Retention& retention);

// Removes what interrupted saves and prunings left. Call it once at start, holding the run's lock.
void clean_up_unfinished(const Path& run_directory);

struct FoundCheckpoint {
  Path path;
  std::int64_t step = 0;
  std::string state_json;
};

enum class HashCheck { kAllBytes, kSizesOnly };

// The newest checkpoint whose manifest, sizes and (with kAllBytes) hashes are right. Those found
// damaged on the way are renamed to .bad-step-..., never deleted, each with a warning that says
// why. Nothing where no checkpoint is valid. Call it holding the run's lock.
std::optional<FoundCheckpoint> find_newest_valid(const Path& run_directory,
                                                 HashCheck check = HashCheck::kAllBytes);

// Everything wrong with a checkpoint or Hugging Face model directory, a sentence each; empty where
// all is right. Sizes and hashes where there is a manifest; always the config, the structure of the
// safetensors files, and names and shapes against the config. Throws only where `directory` is no
// directory.
std::vector<std::string> verify(const Path& directory);

// What a directory holds. As one JSON object: {"path", "step", "format_version", "metadata",
// "config", "parameters", "files": [{"name", "bytes", "checksum"}], "tensors": [{"file", "name",
// "dtype", "shape", "bytes"}]}, with files of the average as "average/NAME"; step, format_version,
// metadata and checksum are null without a manifest. And as text for people. Throws
// CheckpointError.
std::string inspect_json(const Path& directory);
std::string inspect_text(const Path& directory);

// Fills the destinations from a checkpoint: parameters by read_parameters, optimizer state from all
// of its optimizer-*.safetensors, whole tensors or parts. Every element of every destination must
// be there exactly once, and nothing else. Optimizer state may be float32 or bfloat16, in the file
// and in contiguous destinations: bfloat16 becomes float32 exactly, float32 the nearest bfloat16,
// and one line of the log says so. Throws CheckpointError that lists all differences, before
// anything is written.
void load_parameters(const Path& checkpoint, std::span<const NamedDestination> destinations);
void load_optimizer(const Path& checkpoint, std::span<const NamedDestination> destinations);

// The same for a rank that holds parts: destinations are named "NAME@begin:end" and flat, and only
// their ranges of the files are read. The whole checkpoint must be there all the same, every
// element of every tensor exactly once: of `config`'s, or of `tensors` (names as in the files).
void load_parameter_parts(const Path& checkpoint, const model::ModelConfig& config,
                          std::span<const NamedDestination> parts);
void load_average_parts(const Path& checkpoint, const model::ModelConfig& config,
                        std::span<const NamedDestination> parts);
void load_optimizer_parts(const Path& checkpoint, std::span<const TensorSpecification> tensors,
                          std::span<const NamedDestination> parts);

// Whether a checkpoint holds an average of the weights, and the same filling from it. Throws
// CheckpointError where it holds none.
bool has_average(const Path& checkpoint);
void load_average(const Path& checkpoint, std::span<const NamedDestination> destinations);

// state.json of a checkpoint.
std::string read_state(const Path& checkpoint);

}  // namespace ovid::checkpoint
