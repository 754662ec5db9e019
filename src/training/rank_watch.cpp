#include "src/training/rank_watch.h"

namespace ovid::training {

using distributed::Section;

RankWatch::RankWatch(distributed::Communicator& communicator, const config::RunConfig& config,
                     const Path& run_directory)
    : communicator_(communicator),
      faults_(distributed::FaultInjector::from_environment(communicator.ranks())),
      hash_every_steps_(config.distributed.hash_every_steps) {
  if (!has_others()) return;
  if (config.distributed.straggler_limit > 0) {
    scores_.emplace(communicator.count(),
                    distributed::StragglerSettings{.limit = config.distributed.straggler_limit});
  }
  if (config.watchdog.enabled) {
    const distributed::WatchdogOptions options{
        .timeouts = {.initial_seconds = config.watchdog.initial_seconds,
                     .safety_factor = config.watchdog.safety_factor,
                     .least_seconds = config.watchdog.least_seconds},
        .flight_directory = run_directory / "flight"};
    watchdog_.emplace(communicator, options);
  }
}

void RankWatch::enter(Section section, std::int64_t step) {
  if (watchdog_) watchdog_->enter(section, step);
  faults_.reach(section, step, communicator_);
}

void RankWatch::leave(Section section, std::int64_t step) {
  if (!has_others()) return;
  communicator_.barrier(distributed::name_of(section));
  if (watchdog_) watchdog_->enter(Section::kStep, step);
}

void RankWatch::corrupt(std::span<const kernels::View> weights, std::int64_t step) const {
  faults_.corrupt(weights, step);
}

std::vector<std::string> RankWatch::note_times(std::int64_t step, std::span<const double> seconds) {
  return scores_ ? scores_->note(step, seconds) : std::vector<std::string>{};
}

bool RankWatch::compares_at(std::int64_t step) const {
  return has_others() && hash_every_steps_ > 0 && step % hash_every_steps_ == 0 &&
         compared_ != step;
}

void RankWatch::compare(const distributed::ReplicatedTensors& weights, std::int64_t step) {
  if (!has_others() || compared_ == step) return;
  distributed::check_weight_hashes(communicator_, weights, step, compared_);
  compared_ = step;
}

void RankWatch::note_failure(std::string_view reason) noexcept {
  if (watchdog_) watchdog_->dump_failure(reason);
}

}  // namespace ovid::training
