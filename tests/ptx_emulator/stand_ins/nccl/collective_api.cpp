// NCCL's collectives, messages, reductions and groups.

#include <cstring>

#include "tests/ptx_emulator/stand_ins/nccl/group.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"

using namespace ptx_emulator::stand_ins;

namespace {

ncclResult_t refuse(ncclComm_t comm, ncclResult_t code, const std::string& message) {
  group_error(code);
  return failed(comm, code, message);
}

// What every call is checked for; then it is submitted.
ncclResult_t call(ncclComm_t comm, NcclCall call) {
  const char* const name = name_of(call.kind);
  if (comm == nullptr || comm->magic != ncclComm::kMagic)
    return refuse(nullptr, ncclInvalidArgument, text("%s: the communicator is not valid", name));
  if (const int error = comm->state->async_error.load(); error != ncclSuccess) {
    return refuse(comm,
                  error == ncclInProgress ? ncclInvalidArgument : static_cast<ncclResult_t>(error),
                  text("%s: the communicator is %s", name,
                       error == ncclInProgress ? "not ready" : "in error"));
  }
  if (bytes_of_nccl_type(call.type) == 0)
    return refuse(comm, ncclInvalidArgument,
                  text("%s: data type %d does not exist", name, call.type));
  if (call.root < 0 || call.root >= comm->num_ranks) {
    return refuse(comm, ncclInvalidArgument,
                  text("%s: rank %d of %d does not exist", name, call.root, comm->num_ranks));
  }
  if (call.count > UINT64_MAX / 64 / 8 / kMaxRanks)
    return refuse(comm, ncclInvalidArgument, text("%s: the count overflows", name));
  const int number = call.reduction_number;
  if (number >= ncclNumOps) {
    const auto index = static_cast<std::size_t>(number - ncclNumOps);
    if (index >= comm->reductions.size() || !comm->reductions[index].live) {
      return refuse(comm, ncclInvalidArgument,
                    text("%s: reduction %d does not exist", name, number));
    }
    const CreatedReduction& created = comm->reductions[index];
    if (created.type != call.type)
      return refuse(comm, ncclInvalidArgument,
                    text("%s: the reduction was created for another type", name));
    call.reduction = {ncclSum, true, created.factor};
    call.device_factor = created.device_factor;
    call.reduction_number =
        ncclNumOps;  // ranks number their own; that one was created is what they have in common
  } else if (number < 0) {
    return refuse(comm, ncclInvalidArgument, text("%s: reduction %d does not exist", name, number));
  } else {
    call.reduction.op = number;
  }
  call.device = comm->device;
  return submit(comm, call);
}

}  // namespace

extern "C" {

ncclResult_t pncclAllReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                            ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kAllReduce,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .reduction_number = op,
                     .stream = stream});
}
ncclResult_t pncclReduce(const void* send, void* receive, size_t count, ncclDataType_t type,
                         ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kReduce,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .reduction_number = op,
                     .root = root,
                     .stream = stream});
}
ncclResult_t pncclReduceScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                                ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kReduceScatter,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .reduction_number = op,
                     .stream = stream});
}
ncclResult_t pncclAllGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                            ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kAllGather,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .stream = stream});
}
ncclResult_t pncclBroadcast(const void* send, void* receive, size_t count, ncclDataType_t type,
                            int root, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kBroadcast,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .root = root,
                     .stream = stream});
}
ncclResult_t pncclBcast(void* buffer, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                        cudaStream_t stream) {
  return pncclBroadcast(buffer, buffer, count, type, root, comm, stream);
}
ncclResult_t pncclGather(const void* send, void* receive, size_t count, ncclDataType_t type,
                         int root, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kGather,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .root = root,
                     .stream = stream});
}
ncclResult_t pncclScatter(const void* send, void* receive, size_t count, ncclDataType_t type,
                          int root, ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kScatter,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .root = root,
                     .stream = stream});
}
ncclResult_t pncclAlltoAll(const void* send, void* receive, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kAllToAll,
                     .send = send,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .stream = stream});
}
ncclResult_t pncclSend(const void* send, size_t count, ncclDataType_t type, int peer,
                       ncclComm_t comm, cudaStream_t stream) {
  return call(comm, {.kind = Kind::kSend,
                     .send = send,
                     .count = count,
                     .type = type,
                     .root = peer,
                     .stream = stream});
}
ncclResult_t pncclRecv(void* receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                       cudaStream_t stream) {
  return call(comm, {.kind = Kind::kReceive,
                     .receive = receive,
                     .count = count,
                     .type = type,
                     .root = peer,
                     .stream = stream});
}

ncclResult_t pncclGroupStart() {
  group_start();
  return ncclSuccess;
}
ncclResult_t pncclGroupEnd() {
  return group_end();
}

ncclResult_t pncclRedOpCreatePreMulSum(ncclRedOp_t* op, void* scalar, ncclDataType_t type,
                                       ncclScalarResidence_t residence, ncclComm_t comm) {
  if (op == nullptr || scalar == nullptr || comm == nullptr || comm->magic != ncclComm::kMagic ||
      bytes_of_nccl_type(type) == 0) {
    return refuse(nullptr, ncclInvalidArgument,
                  "ncclRedOpCreatePreMulSum: an argument is missing or unknown");
  }
  CreatedReduction created;
  created.live = true;
  created.type = type;
  if (residence == ncclScalarHostImmediate) {
    created.factor = number_of_nccl_type(type, scalar);
  } else {
    created.device_factor = scalar;
  }
  std::size_t index = 0;
  while (index < comm->reductions.size() && comm->reductions[index].live) ++index;
  if (index == comm->reductions.size()) comm->reductions.emplace_back();
  comm->reductions[index] = created;
  *op = static_cast<ncclRedOp_t>(ncclNumOps + static_cast<int>(index));
  return ncclSuccess;
}

ncclResult_t pncclRedOpDestroy(ncclRedOp_t op, ncclComm_t comm) {
  const int index = static_cast<int>(op) - ncclNumOps;
  if (comm == nullptr || index < 0 || static_cast<std::size_t>(index) >= comm->reductions.size() ||
      !comm->reductions[static_cast<std::size_t>(index)].live) {
    return refuse(comm, ncclInvalidArgument, "ncclRedOpDestroy: no such reduction");
  }
  comm->reductions[static_cast<std::size_t>(index)].live = false;
  return ncclSuccess;
}

#pragma weak ncclAllReduce = pncclAllReduce
#pragma weak ncclReduce = pncclReduce
#pragma weak ncclReduceScatter = pncclReduceScatter
#pragma weak ncclAllGather = pncclAllGather
#pragma weak ncclBroadcast = pncclBroadcast
#pragma weak ncclBcast = pncclBcast
#pragma weak ncclGather = pncclGather
#pragma weak ncclScatter = pncclScatter
#pragma weak ncclAlltoAll = pncclAlltoAll
#pragma weak ncclSend = pncclSend
#pragma weak ncclRecv = pncclRecv
#pragma weak ncclGroupStart = pncclGroupStart
#pragma weak ncclGroupEnd = pncclGroupEnd
#pragma weak ncclRedOpCreatePreMulSum = pncclRedOpCreatePreMulSum
#pragma weak ncclRedOpDestroy = pncclRedOpDestroy

}  // extern "C"
