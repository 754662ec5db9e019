#include "src/training/rank_agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <span>

#include "src/training/stop_signal.h"

namespace ovid::training {
namespace {

template <class T>
std::vector<T> of_all_ranks(distributed::Communicator& communicator, const T& own,
                            std::string_view label) {
  std::vector<T> all(static_cast<std::size_t>(communicator.count()));
  communicator.exchange(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)),
                        label);
  return all;
}

}  // namespace

AgreedStart agree_on_start(distributed::Communicator& communicator,
                           std::optional<std::int64_t> found) {
  struct Start {
    std::int64_t step;
    std::uint64_t number;
  };
  std::random_device random;
  const std::uint64_t high = random(), low = random();
  const Start own{.step = found.value_or(-1), .number = high << 32 | low};
  const Start first = of_all_ranks(communicator, own, "start of the run").front();
  return {.step = first.step < 0 ? std::nullopt : std::optional(first.step),
          .number = first.number};
}

void agree_on_micro_batch(distributed::Communicator& communicator, RunPlan& plan) {
  std::int64_t& sequences = plan.micro_batch.sequences;
  const auto all = of_all_ranks(communicator, sequences, "sequences of a micro-batch");
  sequences = *std::min_element(all.begin(), all.end());
}

std::string who_stops(distributed::Communicator& communicator) {
  const std::int32_t own = stop_signal();
  const auto all = of_all_ranks(communicator, own, "stop");
  const auto told = std::find_if(all.begin(), all.end(), [](std::int32_t s) { return s != 0; });
  if (told == all.end()) return "";
  const std::string name(name_of_stop_signal(*told));
  return all.size() == 1 ? name : fmt::format("{} to rank {}", name, told - all.begin());
}

std::optional<RankFailure> first_failure(distributed::Communicator& communicator, ExitCode own) {
  const auto all = of_all_ranks(communicator, own, "preparations");
  const auto failed =
      std::find_if(all.begin(), all.end(), [](ExitCode code) { return code != ExitCode::kDone; });
  if (failed == all.end()) return std::nullopt;
  return RankFailure{.rank = static_cast<int>(failed - all.begin()), .exit_code = *failed};
}

std::vector<double> numbers_of_ranks(distributed::Communicator& communicator, double own,
                                     std::string_view label) {
  return of_all_ranks(communicator, own, label);
}

}  // namespace ovid::training
