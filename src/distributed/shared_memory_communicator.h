#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "src/distributed/collective_thread.h"
#include "src/distributed/communicator.h"
#include "src/distributed/rank_segment.h"
#include "src/distributed/rank_signals.h"
#include "src/distributed/shared_collectives.h"

namespace ovid::distributed {

// The collectives of the processes of one machine, through memory that they share; operands are the
// host's. Data moves in a thread of this object, or in the caller that waits. A rank that died is
// noticed within 100 ms by those that wait for it.
class SharedMemoryCommunicator final : public Communicator {
 public:
  // All ranks call this with the same memory; returns when all did. Throws RankError where one does
  // not within `join_seconds`, UsageError where one is of another build or there twice.
  SharedMemoryCommunicator(const RankInfo& ranks, RankSegment segment, double join_seconds);
  ~SharedMemoryCommunicator() override;

  void abort(std::string_view reason) noexcept override;
  const FlightRecorder* recorder_of(int rank) const override;

 private:
  SharedMemoryCommunicator(const RankInfo& ranks, std::unique_ptr<RankSegment> segment,
                           double join_seconds);

  void do_begin(const CollectiveCall& call) override;
  void do_wait(std::int64_t sequence) override;
  void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                   const CollectiveHeader& header) override;
  void tell_others(const std::exception_ptr& failure) noexcept;

  std::unique_ptr<RankSegment> segment_;
  std::vector<std::unique_ptr<FlightRecorder>> recorders_;  // of all ranks
  RankSignals signals_;
  SharedCollectives collectives_;
  int exceptions_at_start_ = std::uncaught_exceptions();
  CollectiveThread thread_;  // the last member: it uses the others
};

}  // namespace ovid::distributed
