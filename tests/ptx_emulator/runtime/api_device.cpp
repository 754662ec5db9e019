// Devices: number, properties, choice, limits, peers, synchronisation.

#include <cstdio>
#include <cstring>

#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

constexpr int kVersion = 13000;

// Limits that are stored and handed back.
bool is_limit(cudaLimit limit) {
  return limit == cudaLimitStackSize || limit == cudaLimitPrintfFifoSize ||
         limit == cudaLimitMallocHeapSize || limit == cudaLimitDevRuntimeSyncDepth ||
         limit == cudaLimitDevRuntimePendingLaunchCount ||
         limit == cudaLimitMaxL2FetchGranularity || limit == cudaLimitPersistingL2CacheSize;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return api("cudaGetDeviceCount", [&](Call& call) {
    require(count != nullptr);
    *count = static_cast<int>(call.runtime.devices.size());
    require(*count != 0, "", cudaErrorNoDevice);
  });
}
cudaError_t cudaSetDevice(int index) {
  return api("cudaSetDevice", [&](Call& call) {
    Device& device = call.device(index);
    current_device() = index;
    device.used = true;
    require(device.sticky == cudaSuccess, "", device.sticky);
  });
}
cudaError_t cudaInitDevice(int index, unsigned, unsigned) {
  return api("cudaInitDevice", [&](Call& call) { call.device(index).used = true; });
}
cudaError_t cudaGetDevice(int* index) {
  return api("cudaGetDevice", [&](Call& call) {
    require(index != nullptr);
    *index = call.any_device().index();
  });
}
cudaError_t cudaSetValidDevices(int* indices, int count) {
  return api("cudaSetValidDevices", [&](Call& call) {
    require(count >= 0 && (count == 0 || indices != nullptr));
    for (int i = 0; i < count; ++i) call.device(indices[i]);
  });
}
cudaError_t cudaChooseDevice(int* index, const cudaDeviceProp* wanted) {
  return api("cudaChooseDevice", [&](Call& call) {
    require(index != nullptr && wanted != nullptr);
    *index = call.device(0).index();
  });
}
cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return api("cudaSetDeviceFlags", [&](Call& call) { call.any_device().flags = flags; });
}
cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return api("cudaGetDeviceFlags", [&](Call& call) {
    require(flags != nullptr);
    *flags = call.any_device().flags;
  });
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  return api("cudaGetDeviceProperties", [&](Call& call) {
    require(properties != nullptr);
    *properties = call.device(index).properties();
  });
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  return api("cudaDeviceGetAttribute", [&](Call& call) {
    require(value != nullptr);
    if (!device_attribute(call.device(index).properties(), attribute, *value)) {
      throw ApiError(cudaErrorInvalidValue, "device attribute " +
                                                std::to_string(static_cast<int>(attribute)) +
                                                " is not known to the emulator");
    }
  });
}
cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int index) {
  return api("cudaDeviceGetPCIBusId", [&](Call& call) {
    const cudaDeviceProp& p = call.device(index).properties();
    require(text != nullptr && length > 0);
    std::snprintf(text, static_cast<std::size_t>(length), "%04X:%02X:%02X.0", p.pciDomainID,
                  p.pciBusID, p.pciDeviceID);
  });
}
cudaError_t cudaDeviceGetByPCIBusId(int* index, const char* text) {
  return api("cudaDeviceGetByPCIBusId", [&](Call& call) {
    require(index != nullptr && text != nullptr);
    unsigned domain = 0, bus = 0, number = 0;
    require(std::sscanf(text, "%x:%x:%x", &domain, &bus, &number) == 3 && bus >= 1 &&
                bus <= call.runtime.devices.size(),
            "no device has this PCI address", cudaErrorInvalidDevice);
    *index = static_cast<int>(bus) - 1;
  });
}
cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return remember(cudaErrorInvalidValue);
  *version = kVersion;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return cudaDriverGetVersion(version);
}

cudaError_t cudaDeviceSynchronize(void) {
  return api("cudaDeviceSynchronize", [](Call& call) {
    Device& device = call.device();
    synchronise(call.lock, device);
  });
}
// Ends everything that the thread's device holds, its sticky error included.
cudaError_t cudaDeviceReset(void) {
  return api("cudaDeviceReset", [](Call& call) {
    Device& device = call.any_device();
    if (device.sticky == cudaSuccess) call.runtime.scheduler.wait(call.lock, nullptr);
    for (const Allocation* const allocation : device.memory().live()) {
      if (allocation->kind == MemoryKind::kDevice && allocation->label.rfind("cuda", 0) == 0) {
        device.memory().release(allocation->begin);
      }
    }
    device.sticky = cudaSuccess;
    last_error() = cudaSuccess;
  });
}

cudaError_t cudaDeviceSetLimit(cudaLimit limit, std::size_t value) {
  return api("cudaDeviceSetLimit", [&](Call& call) {
    require(is_limit(limit), "the limit is not known", cudaErrorUnsupportedLimit);
    require(value <= call.device().memory().capacity_bytes(), "the limit is too large");
    call.device().limits[limit] = value;
  });
}
cudaError_t cudaDeviceGetLimit(std::size_t* value, cudaLimit limit) {
  return api("cudaDeviceGetLimit", [&](Call& call) {
    require(value != nullptr);
    require(is_limit(limit), "the limit is not known", cudaErrorUnsupportedLimit);
    *value = call.device().limits[limit];
  });
}
cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* config) {
  if (config != nullptr) *config = cudaFuncCachePreferNone;
  return config != nullptr ? cudaSuccess : remember(cudaErrorInvalidValue);
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
  return cudaSuccess;
}
cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
  if (config != nullptr) *config = cudaSharedMemBankSizeFourByte;
  return config != nullptr ? cudaSuccess : remember(cudaErrorInvalidValue);
}
cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) {
  return cudaSuccess;
}
cudaError_t cudaCtxResetPersistingL2Cache(void) {
  return cudaSuccess;
}
cudaError_t cudaDeviceFlushGPUDirectRDMAWrites(cudaFlushGPUDirectRDMAWritesTarget,
                                               cudaFlushGPUDirectRDMAWritesScope) {
  return cudaSuccess;
}
cudaError_t cudaProfilerStart(void) {
  return cudaSuccess;
}
cudaError_t cudaProfilerStop(void) {
  return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int index, int peer) {
  return api("cudaDeviceCanAccessPeer", [&](Call& call) {
    require(can != nullptr);
    call.device(index);
    call.device(peer);
    *can = index != peer;
  });
}
cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  return api("cudaDeviceEnablePeerAccess", [&](Call& call) {
    Device& device = call.device();
    Device& other = call.device(peer);
    require(flags == 0 && &device != &other, "a device is no peer of its own",
            cudaErrorInvalidDevice);
    require(device.peers.insert(peer).second, "", cudaErrorPeerAccessAlreadyEnabled);
    call.runtime.scheduler.wait(call.lock, nullptr);
    device.memory().add_peer(other.memory());
  });
}
cudaError_t cudaDeviceDisablePeerAccess(int peer) {
  return api("cudaDeviceDisablePeerAccess", [&](Call& call) {
    Device& device = call.device();
    Device& other = call.device(peer);
    require(device.peers.erase(peer) != 0, "", cudaErrorPeerAccessNotEnabled);
    call.runtime.scheduler.wait(call.lock, nullptr);
    device.memory().remove_peer(other.memory());
  });
}
cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int from, int to) {
  return api("cudaDeviceGetP2PAttribute", [&](Call& call) {
    require(value != nullptr && from != to);
    call.device(from);
    call.device(to);
    *value = attribute == cudaDevP2PAttrAccessSupported ||
             attribute == cudaDevP2PAttrNativeAtomicSupported;
  });
}

}  // extern "C"
#pragma GCC visibility pop
