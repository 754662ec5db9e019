#pragma once

#include <memory>

#include "src/distributed/communicator.h"
#include "src/distributed/message_transport.h"

namespace ovid::distributed {

// A communicator of host memory over messages. Collectives run in a thread of its own, one after
// another. Sums are in the order of the ranks: all-reduce is a reduce-scatter, in which each rank
// receives and adds its part of every other one, and an all-gather, so each rank sends and receives
// 2 (R - 1) / R times the operand; scratch is bounded whatever the sizes.
//
// abort() tells every rank that messages still reach; so does a failure in this one.
std::unique_ptr<Communicator> make_message_communicator(std::unique_ptr<MessageTransport> transport,
                                                        std::unique_ptr<FlightRecorder> recorder);

}  // namespace ovid::distributed
