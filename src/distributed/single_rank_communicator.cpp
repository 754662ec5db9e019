#include "src/distributed/single_rank_communicator.h"

#include <cstring>

#include "src/distributed/errors.h"
#include "src/distributed/memory_flight_recorder.h"

namespace ovid::distributed {

SingleRankCommunicator::SingleRankCommunicator()
    : Communicator(RankInfo{}, std::make_unique<MemoryFlightRecorder>()) {}

void SingleRankCommunicator::abort(std::string_view reason) noexcept {
  abort_reason_.set(reason);
}

void SingleRankCommunicator::throw_if_aborted() const {
  if (abort_reason_.is_set()) throw RankError(abort_reason_.text());
}

void SingleRankCommunicator::do_begin(const CollectiveCall& call) {
  throw_if_aborted();
  recorder().start(call.header.sequence);
  if (call.in && call.out && call.in->raw() != call.out->raw() && call.header.bytes > 0) {
    std::memmove(call.out->raw(), call.in->raw(), call.header.bytes);
  }
  recorder().end(call.header.sequence);
}

void SingleRankCommunicator::do_wait(std::int64_t /*sequence*/) {
  throw_if_aborted();
}

void SingleRankCommunicator::do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                                         const CollectiveHeader& header) {
  throw_if_aborted();
  recorder().start(header.sequence);
  if (!in.empty()) std::memmove(out.data(), in.data(), in.size());
  recorder().end(header.sequence);
}

}  // namespace ovid::distributed
