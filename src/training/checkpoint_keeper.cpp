#include "src/training/checkpoint_keeper.h"

#include <fmt/format.h>

#include <array>
#include <span>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/stopwatch.h"
#include "src/memory/arena.h"

namespace ovid::training {
namespace {

constexpr int kPatience = 3;

}  // namespace

CheckpointKeeper::CheckpointKeeper(const RunPlan& plan, std::optional<std::int64_t> saved,
                                   const checkpoint::WritingRanks& ranks)
    : plan_(plan), ranks_(ranks), saved_(saved), begun_(saved) {
  if (plan.config().checkpoint.asynchronous) writer_.emplace(plan.directory, plan.target().threads);
}

void CheckpointKeeper::prepare(const checkpoint::CheckpointContent& content, bool room) {
  if (!writer_) return;
  if (!room) {
    log::info(fmt::format(
        "checkpoints are copied in memory only where {} more are free when one is due, and else "
        "hold training up; see `ovid plan`",
        memory::readable_bytes(checkpoint::snapshot_bytes(content))));
    return;
  }
  try {
    writer_->prepare(content);
  } catch (const ResourceError& e) {
    log::info(fmt::format("saves may hold training up: {}", e.what()));
  }
}

// The content as that of a save that no other has the number of.
checkpoint::CheckpointContent CheckpointKeeper::of_next_attempt(
    const checkpoint::CheckpointContent& content) {
  checkpoint::CheckpointContent numbered = content;
  const std::array<std::uint64_t, 2> key{ranks_.attempt, ++attempts_};
  numbered.ranks = ranks_;
  numbered.ranks.attempt = hash64(std::as_bytes(std::span(key)));
  return numbered;
}

double CheckpointKeeper::save(std::int64_t step, const checkpoint::CheckpointContent& tensors,
                              std::optional<std::int64_t> best_step) {
  const checkpoint::CheckpointContent content = of_next_attempt(tensors);
  const Stopwatch stopwatch;
  begun_ = step;
  if (writer_) {
    try {
      writer_->save(step, content, retention(best_step));
      return stopwatch.seconds();
    } catch (const ResourceError& e) {
      log::info(fmt::format("saving while training waits: {}", e.what()));
    }
  }
  try {
    write_now(step, content, retention(best_step));
    pending_ = News{.saved = step, .seconds = stopwatch.seconds()};
  } catch (const ResourceError& e) {
    pending_ = failed(e.what());
  }
  return stopwatch.seconds();
}

void CheckpointKeeper::save_at_end(std::int64_t step, const checkpoint::CheckpointContent& content,
                                   std::optional<std::int64_t> best_step, bool in_doubt) {
  finish_writing();
  if (saved_ == step) return;
  checkpoint::Retention kept = retention(best_step);
  if (in_doubt) ++kept.keep_last;
  write_now(step, of_next_attempt(content), kept);
}

void CheckpointKeeper::finish_writing() {
  if (!writer_) return;
  try {
    while (const auto done = writer_->wait()) saved_ = done->step;
  } catch (const ResourceError& e) {
    log::warning(fmt::format("an earlier checkpoint was not written: {}", e.what()));
    begun_ = saved_;
  }
}

std::optional<CheckpointKeeper::News> CheckpointKeeper::news() {
  if (pending_) return std::exchange(pending_, std::nullopt);
  if (!writer_) return std::nullopt;
  try {
    const auto done = writer_->poll();
    if (!done) return std::nullopt;
    saved_ = done->step;
    failures_ = 0;
    return News{.saved = done->step, .seconds = done->write_seconds};
  } catch (const ResourceError& e) {
    return failed(e.what());
  }
}

checkpoint::Retention CheckpointKeeper::retention(std::optional<std::int64_t> best_step) const {
  const config::CheckpointSection& c = plan_.config().checkpoint;
  return {.keep_last = static_cast<int>(c.keep_last),
          .best_step = c.keep_best ? best_step : std::nullopt,
          .keep_every = c.keep_every};
}

void CheckpointKeeper::write_now(std::int64_t step, const checkpoint::CheckpointContent& content,
                                 const checkpoint::Retention& retention) {
  checkpoint::write_checkpoint(plan_.directory, step, content, retention);
  saved_ = begun_ = step;
  failures_ = 0;
}

CheckpointKeeper::News CheckpointKeeper::failed(const std::string& why) {
  begun_ = saved_;
  if (++failures_ >= kPatience) {
    throw ResourceError(
        fmt::format("{} checkpoints in a row could not be written: {}", failures_, why));
  }
  return {.failure = fmt::format("checkpoint not written, training goes on ({} of {} in a row): {}",
                                 failures_, kPatience, why)};
}

}  // namespace ovid::training
