#include "src/distributed/shared_memory_communicator.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "src/distributed/errors.h"

namespace ovid::distributed {

SharedMemoryCommunicator::SharedMemoryCommunicator(const RankInfo& ranks, RankSegment segment,
                                                   double join_seconds)
    : SharedMemoryCommunicator(ranks, std::make_unique<RankSegment>(std::move(segment)),
                               join_seconds) {}

SharedMemoryCommunicator::SharedMemoryCommunicator(const RankInfo& ranks,
                                                   std::unique_ptr<RankSegment> segment,
                                                   double join_seconds)
    : Communicator(ranks, segment->recorder(ranks.rank)),
      segment_(std::move(segment)),
      signals_(*segment_, ranks.rank, join_seconds),
      collectives_(*segment_, signals_, ranks.rank,
                   [this](std::int64_t sequence) { recorder().start(sequence); }),
      thread_([this](const std::exception_ptr& failure) { tell_others(failure); }) {
  for (int other = 0; other < ranks.count; ++other) {
    recorders_.push_back(segment_->recorder(other));
  }
}

SharedMemoryCommunicator::~SharedMemoryCommunicator() {
  // An error unwinds this rank: the others would wait for what it will never call.
  if (std::uncaught_exceptions() > exceptions_at_start_) abort("it ended with an error of its own");
}

void SharedMemoryCommunicator::abort(std::string_view reason) noexcept {
  try {
    const std::string words = fmt::format("rank {} ended the run: {}", rank(), reason);
    signals_.abort(words, rank());
    thread_.fail(std::make_exception_ptr(RankError(words)));
  } catch (...) {  // no memory for the words
    signals_.abort("a rank ended the run", rank());
  }
}

const FlightRecorder* SharedMemoryCommunicator::recorder_of(int rank) const {
  return rank >= 0 && rank < count() ? recorders_[static_cast<std::size_t>(rank)].get() : nullptr;
}

void SharedMemoryCommunicator::do_begin(const CollectiveCall& call) {
  thread_.enqueue(call.header.sequence, [this, call] {
    collectives_.run(call);
    recorder().end(call.header.sequence);
  });
}

void SharedMemoryCommunicator::do_wait(std::int64_t sequence) {
  thread_.wait(sequence);
}

void SharedMemoryCommunicator::do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                                           const CollectiveHeader& header) {
  thread_.run(header.sequence, [this, in, out, header] {
    collectives_.exchange(in, out, header);
    recorder().end(header.sequence);
  });
}

// What all ranks find by themselves is no news; a rank alone with an error is.
void SharedMemoryCommunicator::tell_others(const std::exception_ptr& failure) noexcept {
  try {
    std::rethrow_exception(failure);
  } catch (const CollectiveError&) {
  } catch (const std::exception& error) {
    const std::string_view words = error.what();
    signals_.abort(words, -1);
  } catch (...) {
    signals_.abort("a rank ended the run", rank());
  }
}

}  // namespace ovid::distributed
