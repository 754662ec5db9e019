#pragma once

#include "src/distributed/abort_reason.h"
#include "src/distributed/communicator.h"

namespace ovid::distributed {

// The communicator of a run of one rank: sums and gathers are copies, done when they are begun.
// What is in place is not touched at all, and may be a device's; other operands are the host's.
class SingleRankCommunicator : public Communicator {
 public:
  SingleRankCommunicator();

  void abort(std::string_view reason) noexcept override;

 private:
  void do_begin(const CollectiveCall& call) override;
  void do_wait(std::int64_t sequence) override;
  void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                   const CollectiveHeader& header) override;
  void throw_if_aborted() const;

  AbortReason abort_reason_;
};

}  // namespace ovid::distributed
