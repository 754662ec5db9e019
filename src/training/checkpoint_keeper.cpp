#include "src/training/checkpoint_keeper.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/stopwatch.h"

namespace ovid::training {
namespace {

constexpr int kPatience = 3;

}  // namespace

CheckpointKeeper::CheckpointKeeper(const RunPlan& plan, std::optional<std::int64_t> saved)
    : plan_(plan), saved_(saved), begun_(saved) {
  if (plan.config().checkpoint.asynchronous) writer_.emplace(plan.directory, plan.threads);
}

double CheckpointKeeper::save(std::int64_t step, const checkpoint::CheckpointContent& content,
                              std::optional<std::int64_t> best_step) {
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
    write_now(step, content, best_step);
    pending_ = News{.saved = step, .seconds = stopwatch.seconds()};
  } catch (const ResourceError& e) {
    pending_ = failed(e.what());
  }
  return stopwatch.seconds();
}

void CheckpointKeeper::save_at_end(std::int64_t step, const checkpoint::CheckpointContent& content,
                                   std::optional<std::int64_t> best_step) {
  if (writer_) {
    try {
      while (const auto done = writer_->wait()) saved_ = done->step;
    } catch (const ResourceError& e) {
      log::warning(fmt::format("an earlier checkpoint was not written: {}", e.what()));
      if (begun_ == step) begun_.reset();
    }
  }
  if (saved_ != step) write_now(step, content, best_step);
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
                                 std::optional<std::int64_t> best_step) {
  checkpoint::write_checkpoint(plan_.directory, step, content, retention(best_step));
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
