#pragma once

#include <memory>

#include "kernels/cuda/device.h"
#include "src/distributed/communicator.h"

namespace ovid::distributed {

// A communicator of the memory of one CUDA device in each rank, by NCCL. Collectives have a queue
// of their own on the device: one begins when what kCompute held at begin_...() is done, and wait()
// makes kCompute, not the host, wait for it. `host` is a communicator of the same ranks in host
// memory; it carries NCCL's id, the headers that are compared before data moves, exchange() and
// barrier(), and belongs to the result: use only that one afterwards.
//
// Sums are in NCCL's order, which is the same in every run with the same ranks and machines.
// Collective over all ranks. Throws DeviceError where NCCL is absent or fails to start (the message
// says what to install), RankError where a rank does not come.
std::unique_ptr<Communicator> open_device_communicator(std::unique_ptr<Communicator> host,
                                                       kernels::cuda::Device& device);

}  // namespace ovid::distributed
