#include "kernels/cuda/nccl_library.cuh"

#include <dlfcn.h>

#include <string>

#include "kernels/common/errors.h"

namespace ovid::kernels::cuda {

namespace {

constexpr const char* kLibrary = "libnccl.so.2";

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) {
    throw DeviceError(std::string(kLibrary) + " has no " + name +
                      ": it is too old; install NCCL 2.18 or newer");
  }
}

NcclLibrary load() {
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw DeviceError("several CUDA devices need NCCL, which is not here (" +
                      std::string(::dlerror()) +
                      "); install it (package libnccl2, or the wheel nvidia-nccl-cu13 and its "
                      "folder in LD_LIBRARY_PATH)");
  }
  NcclLibrary found{};
  find(library, "ncclGetErrorString", found.get_error_string);
  find(library, "ncclGetUniqueId", found.get_unique_id);
  find(library, "ncclCommInitRankConfig", found.comm_init_rank_config);
  find(library, "ncclCommGetAsyncError", found.comm_get_async_error);
  find(library, "ncclCommFinalize", found.comm_finalize);
  find(library, "ncclCommDestroy", found.comm_destroy);
  find(library, "ncclCommAbort", found.comm_abort);
  find(library, "ncclGroupStart", found.group_start);
  find(library, "ncclGroupEnd", found.group_end);
  find(library, "ncclAllReduce", found.all_reduce);
  find(library, "ncclReduceScatter", found.reduce_scatter);
  find(library, "ncclAllGather", found.all_gather);
  find(library, "ncclBroadcast", found.broadcast);
  find(library, "ncclSend", found.send);
  find(library, "ncclRecv", found.recv);
  return found;
}

}  // namespace

const NcclLibrary& nccl() {
  static const NcclLibrary library = load();  // a failure is tried again: nothing is kept
  return library;
}

}  // namespace ovid::kernels::cuda
