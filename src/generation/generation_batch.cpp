#include "src/generation/generation_batch.h"

#include <algorithm>
#include <cassert>

#include "kernels/cpu/parallel_for.h"

namespace ovid::generation {

GenerationBatch::GenerationBatch(const GenerationModel& model,
                                 std::span<const std::vector<std::int32_t>> prompts,
                                 const GenerationSettings& settings, DecoderCapacity capacity)
    : model_(model),
      prompts_(prompts),
      settings_(settings),
      decoder_(model.config, model.weights, capacity, model.target),
      places_(static_cast<std::size_t>(capacity.sequences), Place(settings.sampling)) {}

void GenerationBatch::see(Place& place, std::int32_t token) const {
  if (settings_.sampling.repetition_penalty == 1.0) return;
  const auto t = static_cast<std::size_t>(token);
  if (!place.is_seen[t]) place.seen.push_back(token);
  place.is_seen[t] = true;
}

// Where the window of a sequence of `size` tokens begins: it moves once the context is full.
std::int64_t GenerationBatch::window_after(std::int64_t window_begin, std::int64_t size) const {
  const std::int64_t P = model_.config.context_length;
  if (size - window_begin <= P) return window_begin;
  return size - std::max<std::int64_t>(P / 2, 1);
}

void GenerationBatch::begin(std::int64_t prompt, std::int64_t number) {
  std::size_t free = 0;
  while (places_[free].active) ++free;
  Place& place = places_[free];
  const std::vector<std::int32_t>& tokens = prompts_[static_cast<std::size_t>(prompt)];
  const auto size = static_cast<std::int64_t>(tokens.size());
  const std::int64_t window_begin = window_after(0, size);
  const std::int64_t shared = size - window_begin - 1;
  // A place that is free keeps what it decoded last: it may hold this very prompt.
  const auto holds_it = [&](const Place& other) {
    return !other.tokens.empty() && other.sample.prompt == prompt &&
           other.window_begin == window_begin && other.decoded >= shared;
  };
  auto donor = holds_it(place) ? places_.begin() + static_cast<std::ptrdiff_t>(free)
                               : std::find_if(places_.begin(), places_.end(), holds_it);
  const auto from = static_cast<std::int64_t>(donor - places_.begin());
  const bool found = donor != places_.end();
  if (found && from != static_cast<std::int64_t>(free))
    decoder_.copy_cache(from, static_cast<std::int64_t>(free), shared);

  place.sample = {.number = number, .prompt = prompt};
  place.tokens = tokens;
  place.window_begin = window_begin;
  place.decoded = found ? shared : 0;
  place.active = true;
  place.seen.clear();
  if (settings_.sampling.repetition_penalty != 1.0)
    place.is_seen.assign(static_cast<std::size_t>(model_.config.vocabulary_size), false);
  for (const std::int32_t token : tokens) see(place, token);
  ++active_;
  // Decoded now, so that the next sample of the same prompt finds it.
  if (!found && settings_.samples > 1 && shared > 0) {
    rows_.clear();
    append_rows(free, shared);
    decode();
  }
}

void GenerationBatch::append_rows(std::size_t place, std::int64_t end) {
  Place& p = places_[place];
  for (; p.decoded < end; ++p.decoded) {
    rows_.push_back({.sequence = static_cast<std::int32_t>(place),
                     .position = static_cast<std::int32_t>(p.decoded),
                     .token = p.tokens[static_cast<std::size_t>(p.window_begin + p.decoded)]});
  }
}

void GenerationBatch::append_new_rows() {
  rows_.clear();
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Place& p = places_[i];
    if (!p.active) continue;
    const auto size = static_cast<std::int64_t>(p.tokens.size());
    const std::int64_t begin = window_after(p.window_begin, size);
    if (begin != p.window_begin) p.decoded = 0;
    p.window_begin = begin;
    append_rows(i, size - begin);
  }
}

// Logits are wanted after the newest token of each sample only.
void GenerationBatch::decode() {
  wanted_ = std::make_unique<bool[]>(rows_.size());
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    const Place& p = places_[static_cast<std::size_t>(rows_[r].sequence)];
    wanted_[r] =
        p.window_begin + rows_[r].position + 1 == static_cast<std::int64_t>(p.tokens.size());
  }
  decoder_.decode(rows_, {wanted_.get(), rows_.size()});
}

void GenerationBatch::draw() {
  kernels::cpu::parallel_for(
      model_.target.threads, static_cast<std::int64_t>(rows_.size()), 1,
      [&](std::int64_t begin, std::int64_t end) {
        for (auto r = static_cast<std::size_t>(begin); r < static_cast<std::size_t>(end); ++r) {
          if (!wanted_[r]) continue;
          Place& p = places_[static_cast<std::size_t>(rows_[r].sequence)];
          p.next = p.sampler.draw(decoder_.logits(r), p.sample.number,
                                  static_cast<std::int64_t>(p.tokens.size()), p.seen);
        }
      });
}

std::vector<Sample> GenerationBatch::step(const GenerationCallbacks& callbacks) {
  append_new_rows();
  decode();
  draw();
  std::vector<Sample> finished;
  for (Place& p : places_) {
    if (!p.active) continue;
    p.tokens.push_back(p.next);
    p.sample.tokens.push_back(p.next);
    see(p, p.next);
    bool stops = settings_.end_of_text == p.next;
    if (callbacks.on_token) stops |= callbacks.on_token(p.sample) == AfterToken::kStop;
    const auto count = static_cast<std::int64_t>(p.sample.tokens.size());
    if (!stops && count < settings_.max_new_tokens) continue;
    p.sample.finish_reason = stops ? FinishReason::kStop : FinishReason::kLength;
    finished.push_back(p.sample);
    p.active = false;
    --active_;
  }
  return finished;
}

}  // namespace ovid::generation
