// NCCL's communicators, errors and memory.

#include <cstring>

#include "tests/ptx_emulator/stand_ins/nccl/group.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

using namespace ptx_emulator::stand_ins;

namespace {

bool valid(ncclComm_t comm) {
  return comm != nullptr && comm->magic == ncclComm::kMagic;
}

ncclResult_t refuse(ncclResult_t code, const std::string& message) {
  group_error(code);
  return failed(nullptr, code, message);
}

template <class Make>
ncclResult_t begin(ncclComm_t* target, Make&& make) {
  if (target == nullptr)
    return refuse(ncclInvalidArgument, "the place for the communicator is NULL");
  try {
    *target = nullptr;
    return submit(make());
  } catch (const CommunicationError& error) {
    return refuse(static_cast<ncclResult_t>(error.code()), error.what());
  }
}

// An id holds the name of a segment, zero-terminated.
bool id_text(const ncclUniqueId& id, std::string& name) {
  const std::size_t length = strnlen(id.internal, sizeof id.internal);
  name.assign(id.internal, length);
  return length < sizeof id.internal && name.rfind("/ptx-emulator-nccl-", 0) == 0;
}

ncclResult_t init_rank(ncclComm_t* comm, int num_ranks, const ncclUniqueId& id, int rank,
                       ncclConfig_t* config) {
  std::string name;
  if (!id_text(id, name))
    return refuse(ncclInvalidArgument,
                  "the unique id was not made by ncclGetUniqueId of this library");
  return begin(comm, [&] { return construct_rank(comm, num_ranks, name, rank, config); });
}

void drain_streams(ncclComm_t comm) {
  for (const StreamOfDevice& stream : comm->streams) drain(stream);
}

ncclResult_t release(ncclComm_t comm) {
  comm->magic = 0;
  delete comm;
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t pncclGetVersion(int* version) {
  if (version == nullptr) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t pncclGetUniqueId(ncclUniqueId* id) {
  if (id == nullptr) return ncclInvalidArgument;
  std::memset(id, 0, sizeof *id);
  const std::string name = fresh_id();
  std::memcpy(id->internal, name.data(), name.size());
  return ncclSuccess;
}

ncclResult_t pncclCommInitRank(ncclComm_t* comm, int num_ranks, ncclUniqueId id, int rank) {
  return init_rank(comm, num_ranks, id, rank, nullptr);
}
ncclResult_t pncclCommInitRankConfig(ncclComm_t* comm, int num_ranks, ncclUniqueId id, int rank,
                                     ncclConfig_t* config) {
  return init_rank(comm, num_ranks, id, rank, config);
}
ncclResult_t pncclCommInitRankScalable(ncclComm_t* comm, int num_ranks, int rank, int num_ids,
                                       ncclUniqueId* ids, ncclConfig_t* config) {
  if (num_ids < 1 || ids == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommInitRankScalable needs an id");
  return init_rank(comm, num_ranks, ids[0], rank,
                   config);  // every rank has the same list: the first name is enough
}

ncclResult_t pncclCommInitAll(ncclComm_t* comms, int num_devices, const int* devices) {
  if (comms == nullptr || num_devices < 1)
    return refuse(ncclInvalidArgument, "ncclCommInitAll needs at least one device");
  const auto set_device = reinterpret_cast<int (*)(int)>(runtime_function("cudaSetDevice"));
  const int before = current_cuda_device();
  const std::string id = fresh_id();
  std::vector<Construction> constructions;
  for (int rank = 0; rank < num_devices; ++rank) {
    const int device = devices != nullptr ? devices[rank] : rank;
    if (set_device != nullptr && set_device(device) != kCudaSuccess) {
      for (const Construction& construction : constructions) delete construction.comm;
      set_device(before);
      return refuse(
          ncclUnhandledCudaError,
          text("device %d does not exist (PTX_EMULATOR_DEVICES sets their number)", device));
    }
    constructions.push_back(construct_rank(&comms[rank], num_devices, id, rank, nullptr));
  }
  if (set_device != nullptr) set_device(before);
  return finish_constructions(std::move(constructions));
}

ncclResult_t pncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* split,
                            ncclConfig_t* config) {
  if (!valid(comm))
    return refuse(ncclInvalidArgument, "ncclCommSplit: the communicator is not valid");
  return begin(split, [&] { return construct_split(split, comm, color, key, config); });
}

ncclResult_t pncclCommShrink(ncclComm_t comm, int* excluded, int num_excluded, ncclComm_t* shrunk,
                             ncclConfig_t* config, int flags) {
  if (!valid(comm) || num_excluded < 1 || excluded == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommShrink: an argument is not valid");
  if ((flags & NCCL_SHRINK_ABORT) != 0) comm->state->segment->abort_local();
  return begin(shrunk, [&] {
    return construct_shrunk(shrunk, comm, std::vector<int>(excluded, excluded + num_excluded),
                            config);
  });
}

ncclResult_t pncclCommFinalize(ncclComm_t comm) {
  if (!valid(comm))
    return refuse(ncclInvalidArgument, "ncclCommFinalize: the communicator is not valid");
  drain_streams(comm);
  return static_cast<ncclResult_t>(comm->state->async_error.load());
}

ncclResult_t pncclCommDestroy(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  if (!valid(comm))
    return refuse(ncclInvalidArgument, "ncclCommDestroy: the communicator is not valid");
  if (comm->starting.joinable()) comm->starting.join();
  drain_streams(comm);
  return release(comm);
}

ncclResult_t pncclCommAbort(ncclComm_t comm) {
  if (comm == nullptr) return ncclSuccess;
  if (!valid(comm))
    return refuse(ncclInvalidArgument, "ncclCommAbort: the communicator is not valid");
  SharedSegment* const segment = comm->state->segment.get();
  if (segment != nullptr) {
    // Without unfinished operations this is only an end; with some, the others wait for what will
    // never come.
    if (comm->state->outstanding.load() > 0)
      segment->fail(ncclRemoteError, text("rank %d called ncclCommAbort", comm->rank));
    segment->slot(comm->rank).left.store(2);
    segment->abort_local();
    segment->wake();
  }
  if (comm->starting.joinable()) comm->starting.join();
  drain_streams(comm);
  return release(comm);
}

const char* pncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
      return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
      return "internal error";
    case ncclInvalidArgument:
      return "invalid argument";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    case ncclInProgress:
      return "NCCL operation in progress";
    default:
      return "unknown result code";
  }
}

const char* pncclGetLastError(ncclComm_t comm) {
  thread_local std::string copy;
  if (valid(comm)) {
    const std::scoped_lock lock(comm->state->mutex);
    copy = comm->state->last_error;
  } else {
    copy = last_failure();
  }
  return copy.c_str();
}

ncclResult_t pncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  if (!valid(comm) || error == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommGetAsyncError: an argument is not valid");
  if (comm->state->outstanding.load() > 0 && comm->state->async_error.load() == ncclSuccess) {
    try {
      comm->state->segment->check_peers();
    } catch (const CommunicationError& problem) {
      comm->state->set_error(problem.code(), problem.what());
    }
  }
  *error = static_cast<ncclResult_t>(comm->state->async_error.load());
  return ncclSuccess;
}

ncclResult_t pncclCommCount(const ncclComm_t comm, int* count) {
  if (!valid(comm) || count == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommCount: an argument is not valid");
  *count = comm->num_ranks;
  return ncclSuccess;
}
ncclResult_t pncclCommCuDevice(const ncclComm_t comm, int* device) {
  if (!valid(comm) || device == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommCuDevice: an argument is not valid");
  *device = comm->device;
  return ncclSuccess;
}
ncclResult_t pncclCommUserRank(const ncclComm_t comm, int* rank) {
  if (!valid(comm) || rank == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommUserRank: an argument is not valid");
  *rank = comm->rank;
  return ncclSuccess;
}

// Registration speeds up real transports; here it has nothing to do.
ncclResult_t pncclCommRegister(const ncclComm_t comm, void* buffer, size_t, void** handle) {
  if (!valid(comm) || handle == nullptr)
    return refuse(ncclInvalidArgument, "ncclCommRegister: an argument is not valid");
  *handle = buffer;
  return ncclSuccess;
}
ncclResult_t pncclCommDeregister(const ncclComm_t comm, void*) {
  return valid(comm) ? ncclSuccess : ncclInvalidArgument;
}

ncclResult_t pncclMemAlloc(void** pointer, size_t bytes) {
  const auto allocate = reinterpret_cast<int (*)(void**, size_t)>(runtime_function("cudaMalloc"));
  return allocate != nullptr && allocate(pointer, bytes) == kCudaSuccess ? ncclSuccess
                                                                         : ncclUnhandledCudaError;
}
ncclResult_t pncclMemFree(void* pointer) {
  const auto release_memory = reinterpret_cast<int (*)(void*)>(runtime_function("cudaFree"));
  return release_memory != nullptr && release_memory(pointer) == kCudaSuccess
             ? ncclSuccess
             : ncclUnhandledCudaError;
}

#pragma weak ncclGetVersion = pncclGetVersion
#pragma weak ncclGetUniqueId = pncclGetUniqueId
#pragma weak ncclCommInitRank = pncclCommInitRank
#pragma weak ncclCommInitRankConfig = pncclCommInitRankConfig
#pragma weak ncclCommInitRankScalable = pncclCommInitRankScalable
#pragma weak ncclCommInitAll = pncclCommInitAll
#pragma weak ncclCommSplit = pncclCommSplit
#pragma weak ncclCommShrink = pncclCommShrink
#pragma weak ncclCommFinalize = pncclCommFinalize
#pragma weak ncclCommDestroy = pncclCommDestroy
#pragma weak ncclCommAbort = pncclCommAbort
#pragma weak ncclGetErrorString = pncclGetErrorString
#pragma weak ncclGetLastError = pncclGetLastError
#pragma weak ncclCommGetAsyncError = pncclCommGetAsyncError
#pragma weak ncclCommCount = pncclCommCount
#pragma weak ncclCommCuDevice = pncclCommCuDevice
#pragma weak ncclCommUserRank = pncclCommUserRank
#pragma weak ncclCommRegister = pncclCommRegister
#pragma weak ncclCommDeregister = pncclCommDeregister
#pragma weak ncclMemAlloc = pncclMemAlloc
#pragma weak ncclMemFree = pncclMemFree

}  // extern "C"
