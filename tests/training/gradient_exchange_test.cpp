#include "src/training/gradient_exchange.h"

#include <chrono>
#include <memory>
#include <string_view>
#include <thread>

#include "src/distributed/memory_flight_recorder.h"
#include "src/training/run_messages.h"
#include "tests/catch.h"

namespace ovid::training {
namespace {

const model::ModelConfig kConfig{
    .layers = 2, .heads = 2, .width = 8, .context_length = 4, .vocabulary_size = 11};

constexpr double kSeconds = 0.004;  // that each collective takes at least

// Takes its time either when a collective is begun, beside nothing that waits, or when the caller
// waits for it; moves nothing.
class SlowCommunicator : public distributed::Communicator {
 public:
  explicit SlowCommunicator(bool when_waited)
      : Communicator({.rank = 0, .count = 2, .local_rank = 0, .local_count = 2},
                     std::make_unique<distributed::MemoryFlightRecorder>()),
        when_waited_(when_waited) {}
  void abort(std::string_view /*reason*/) noexcept override {}

 private:
  void take(std::int64_t sequence) {
    recorder().start(sequence);
    std::this_thread::sleep_for(std::chrono::duration<double>(kSeconds));
    recorder().end(sequence);
  }
  void do_begin(const distributed::CollectiveCall& call) override {
    if (!when_waited_) take(call.header.sequence);
  }
  void do_wait(std::int64_t sequence) override {
    if (when_waited_) take(sequence);
  }
  void do_exchange(std::span<const std::byte> /*in*/, std::span<std::byte> /*out*/,
                   const distributed::CollectiveHeader& /*header*/) override {}

  bool when_waited_;
};

// Two steps of four groups: embeddings, two blocks, end.
ExchangeTime time_of(bool when_waited) {
  SlowCommunicator communicator(when_waited);
  const model::ShardLayout layout = model::lay_out_shards(kConfig, 2);
  const model::ParameterSet gradients(kConfig, "gradients", {.shards = 2});
  GradientExchange exchange(communicator, layout, gradients, GradientExchange::Result::kEverywhere);
  for (int step = 0; step < 2; ++step) {
    exchange.note_all_ready();
    exchange.finish();
  }
  return exchange.time();
}

TEST_CASE("sums that are there before the step waits for them are hidden") {
  const ExchangeTime time = time_of(false);
  CHECK(time.steps == 2);
  CHECK(time.transfer >= 8 * kSeconds);
  CHECK(time.exposed == 0);
}

TEST_CASE("sums that take their time while the step waits are exposed") {
  const ExchangeTime time = time_of(true);
  CHECK(time.steps == 2);
  CHECK(time.transfer >= 8 * kSeconds);
  CHECK(time.exposed == Approx(time.transfer));
  CHECK(time.waiting >= time.exposed * 0.999);
}

TEST_CASE("the message of the exchange has milliseconds a step and the hidden share") {
  CHECK(exchange_message({.transfer = 0.4, .exposed = 0.1, .waiting = 0.2, .steps = 10}) ==
        "summing gradients took 40.00 ms a step, 75 % of it hidden behind the backward pass; "
        "steps waited 20.00 ms for it and for slower ranks");
}

}  // namespace
}  // namespace ovid::training
