#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "src/distributed/rank.h"

namespace ovid::distributed {

// Messages between the ranks of a run, without waiting: what a communicator across machines stands
// on. Between two ranks, messages of one channel arrive in the order in which they were sent, and a
// receive takes the next one, which must have its size. One thread at a time may call.
//
// Errors of the network throw RankError.
class MessageTransport {
 public:
  // What was begun and not yet found done. Its memory belongs to it until then.
  using Request = std::int64_t;
  enum class Channel : std::uint8_t { kData, kAbort };
  static constexpr int kAnyRank = -1;
  static constexpr std::size_t kLargestMessage = std::size_t{1} << 30;  // bytes

  virtual ~MessageTransport() = default;
  MessageTransport(const MessageTransport&) = delete;
  MessageTransport& operator=(const MessageTransport&) = delete;

  virtual RankInfo ranks() const = 0;
  virtual std::string description() const = 0;  // "Open MPI 4.1.4"

  virtual Request send(int to, Channel channel, std::span<const std::byte> bytes) = 0;
  // `from` may be kAnyRank; a message smaller than `bytes` fills its beginning.
  virtual Request receive(int from, Channel channel, std::span<std::byte> bytes) = 0;
  // Whether it is done; afterwards the request is no more.
  virtual bool done(Request request) = 0;

  // After a failure, when peers may be dead: receives of data are given up, so that their memory is
  // free, and destruction waits for nobody.
  virtual void abandon() noexcept = 0;

 protected:
  MessageTransport() = default;
};

}  // namespace ovid::distributed
