#include "src/training/rank_agreement.h"

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

bool any_rank_stops(distributed::Communicator& communicator) {
  const std::uint8_t own = stop_requested() ? 1 : 0;
  const auto all = of_all_ranks(communicator, own, "stop");
  return std::find(all.begin(), all.end(), 1) != all.end();
}

std::vector<double> numbers_of_ranks(distributed::Communicator& communicator, double own,
                                     std::string_view label) {
  return of_all_ranks(communicator, own, label);
}

}  // namespace ovid::training
