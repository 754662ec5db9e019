// Memory whose life follows a stream. It is there when the call returns; it goes when the stream
// gets to the free.

#include <algorithm>

#include "tests/ptx_emulator/runtime/allocation.h"
#include "tests/ptx_emulator/runtime/memory_pool.h"

using namespace ptx_emulator;

namespace {

MemoryPool& pool_of(Call& call, cudaMemPool_t handle) {
  const auto found = call.runtime.pools.find(handle);
  require(found != call.runtime.pools.end(), "the pool does not exist (any more)");
  return *found->second;
}

cudaMemPool_t default_pool(Call& call, Device& device) {
  for (const auto& [handle, pool] : call.runtime.pools) {
    if (pool->device == &device && pool->is_default) return handle;
  }
  auto pool = std::make_unique<MemoryPool>();
  pool->device = &device;
  pool->is_default = true;
  const cudaMemPool_t handle = reinterpret_cast<cudaMemPool_t>(pool.get());
  call.runtime.pools[handle] = std::move(pool);
  return handle;
}

void* allocate_from(Call& call, MemoryPool& pool, std::size_t bytes, cudaStream_t handle,
                    const char* function) {
  const Stream& stream = call.stream(handle);
  require(!stream.capture, "allocation in a captured graph is not supported",
          cudaErrorNotSupported);
  if (bytes == 0) return nullptr;
  pool.used += bytes;
  pool.used_high = std::max(pool.used_high, pool.used);
  return reinterpret_cast<void*>(
      allocate(*pool.device, pool.device->memory(), MemoryKind::kDevice, bytes, function));
}

// The place of an attribute's value, which is 32 or 64 bits.
int* flag_of(MemoryPool& pool, cudaMemPoolAttr attribute) {
  switch (attribute) {
    case cudaMemPoolReuseFollowEventDependencies:
      return &pool.reuse_event_dependencies;
    case cudaMemPoolReuseAllowOpportunistic:
      return &pool.reuse_opportunistic;
    case cudaMemPoolReuseAllowInternalDependencies:
      return &pool.reuse_internal;
    default:
      return nullptr;
  }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t stream) {
  return api("cudaMallocAsync", [&](Call& call) {
    require(pointer != nullptr);
    MemoryPool& pool = pool_of(call, default_pool(call, *call.stream(stream).device));
    *pointer = allocate_from(call, pool, bytes, stream, "cudaMallocAsync");
  });
}
cudaError_t cudaMallocFromPoolAsync(void** pointer, std::size_t bytes, cudaMemPool_t pool,
                                    cudaStream_t stream) {
  return api("cudaMallocFromPoolAsync", [&](Call& call) {
    require(pointer != nullptr);
    *pointer = allocate_from(call, pool_of(call, pool), bytes, stream, "cudaMallocFromPoolAsync");
  });
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t handle) {
  return api("cudaFreeAsync", [&](Call& call) {
    Stream& stream = call.stream(handle);
    if (pointer == nullptr) return;
    require(!stream.capture, "freeing in a captured graph is not supported", cudaErrorNotSupported);
    const std::uint64_t address = reinterpret_cast<std::uint64_t>(pointer);
    const Allocation* const found = call.runtime.find(address);
    const bool live = found != nullptr && !found->freed && found->begin == address &&
                      found->kind == MemoryKind::kDevice;
    if (!live) {
      throw ApiError(cudaErrorInvalidValue,
                     call.runtime.describe(address) + ", is no live allocation of the device");
    }
    MemoryPool& pool = pool_of(call, default_pool(call, *stream.device));
    pool.used -= std::min(pool.used, found->end - found->begin);
    submit(call.lock, stream, FreeOperation{address});
  });
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return api("cudaDeviceGetDefaultMemPool", [&](Call& call) {
    require(pool != nullptr);
    *pool = default_pool(call, call.device(device));
  });
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return api("cudaDeviceGetMemPool", [&](Call& call) {
    require(pool != nullptr);
    *pool = default_pool(call, call.device(device));
  });
}
cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  return api("cudaDeviceSetMemPool", [&](Call& call) {
    require(pool_of(call, pool).device == &call.device(device), "the pool is of another device");
  });
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* handle, const cudaMemPoolProps* properties) {
  return api("cudaMemPoolCreate", [&](Call& call) {
    require(handle != nullptr && properties != nullptr);
    require(properties->location.type == cudaMemLocationTypeDevice,
            "pools of host memory are not supported", cudaErrorNotSupported);
    auto pool = std::make_unique<MemoryPool>();
    pool->device = &call.device(properties->location.id);
    *handle = reinterpret_cast<cudaMemPool_t>(pool.get());
    call.runtime.pools[*handle] = std::move(pool);
  });
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
  return api("cudaMemPoolDestroy", [&](Call& call) {
    require(!pool_of(call, handle).is_default, "the default pool cannot be destroyed");
    call.runtime.pools.erase(handle);
  });
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, std::size_t) {
  return api("cudaMemPoolTrimTo", [&](Call& call) { pool_of(call, pool); });
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* access,
                                 std::size_t count) {
  return api("cudaMemPoolSetAccess", [&](Call& call) {
    const MemoryPool& one = pool_of(call, pool);
    require(count == 0 || access != nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      if (access[i].flags == cudaMemAccessFlagsProtNone) continue;
      Device& reader = call.device(access[i].location.id);
      reader.memory().add_peer(one.device->memory());
    }
  });
}
cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags* flags, cudaMemPool_t pool,
                                 cudaMemLocation* location) {
  return api("cudaMemPoolGetAccess", [&](Call& call) {
    require(flags != nullptr && location != nullptr);
    const bool own = location->type == cudaMemLocationTypeDevice &&
                     pool_of(call, pool).device->index() == location->id;
    *flags = own ? cudaMemAccessFlagsProtReadWrite : cudaMemAccessFlagsProtNone;
  });
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolSetAttribute", [&](Call& call) {
    require(value != nullptr);
    MemoryPool& pool = pool_of(call, handle);
    if (int* const flag = flag_of(pool, attribute)) {
      *flag = *static_cast<const int*>(value);
    } else if (attribute == cudaMemPoolAttrReleaseThreshold) {
      pool.release_threshold = *static_cast<const std::uint64_t*>(value);
    } else {
      require((attribute == cudaMemPoolAttrUsedMemHigh ||
               attribute == cudaMemPoolAttrReservedMemHigh) &&
                  *static_cast<const std::uint64_t*>(value) == 0,
              "the attribute cannot be set");
      pool.used_high = pool.used;
    }
  });
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, cudaMemPoolAttr attribute, void* value) {
  return api("cudaMemPoolGetAttribute", [&](Call& call) {
    require(value != nullptr);
    MemoryPool& pool = pool_of(call, handle);
    if (const int* const flag = flag_of(pool, attribute)) {
      *static_cast<int*>(value) = *flag;
    } else if (attribute == cudaMemPoolAttrReleaseThreshold) {
      *static_cast<std::uint64_t*>(value) = pool.release_threshold;
    } else {
      const bool high =
          attribute == cudaMemPoolAttrUsedMemHigh || attribute == cudaMemPoolAttrReservedMemHigh;
      *static_cast<std::uint64_t*>(value) = high ? pool.used_high : pool.used;
    }
  });
}

}  // extern "C"
#pragma GCC visibility pop
