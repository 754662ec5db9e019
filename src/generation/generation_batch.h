#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "src/generation/decoder.h"
#include "src/generation/generator.h"

namespace ovid::generation {

// The samples that are decoded together at one time, one place each. Inside the module: generate()
// is what others call.
class GenerationBatch {
 public:
  // What is decoded must outlive the batch.
  GenerationBatch(const GenerationModel& model, std::span<const std::vector<std::int32_t>> prompts,
                  const GenerationSettings& settings, DecoderCapacity capacity);

  bool has_free_place() const { return active_ < places_.size(); }
  bool is_empty() const { return active_ == 0; }

  // Begins a sample in a free place. The part of its prompt that another place's cache holds is
  // copied, not computed.
  void begin(std::int64_t prompt, std::int64_t number);

  // Adds one token to each sample. Those that end are returned; their places are free then.
  std::vector<Sample> step(const GenerationCallbacks& callbacks);

 private:
  struct Place {
    Sample sample;
    std::vector<std::int32_t> tokens;  // prompt and new ones
    std::vector<std::int32_t> seen;    // the distinct ones, where the penalty wants them
    std::vector<bool> is_seen;         // by token
    std::int64_t window_begin = 0;     // the token at position 0 of the cache
    std::int64_t decoded = 0;          // tokens in the cache, counted from window_begin
    std::int32_t next = 0;             // the token drawn last
    bool active = false;
    Sampler sampler;
    explicit Place(const SamplingSettings& sampling) : sampler(sampling) {}
  };

  void see(Place& place, std::int32_t token) const;
  std::int64_t window_after(std::int64_t window_begin, std::int64_t size) const;
  void reuse_cached_prompt(std::size_t place, std::int64_t shared);
  void append_rows(std::size_t place, std::int64_t end);
  void append_new_rows();
  void decode();
  void draw();

  const GenerationModel& model_;
  std::span<const std::vector<std::int32_t>> prompts_;
  const GenerationSettings& settings_;
  Decoder decoder_;
  std::vector<Place> places_;
  std::size_t active_ = 0;
  std::vector<DecoderRow> rows_;
  std::unique_ptr<bool[]> wanted_;  // by row: the newest token of its sample
};

}  // namespace ovid::generation
