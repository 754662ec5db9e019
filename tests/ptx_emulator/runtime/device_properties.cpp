#include <algorithm>
#include <cstdio>
#include <cstring>

#include "tests/ptx_emulator/machine/occupancy.h"
#include "tests/ptx_emulator/runtime/device.h"

// Figures of the two devices: NVIDIA's white papers of the A100 and H100 architectures, and the
// table of compute capabilities in the CUDA programming guide.
namespace ptx_emulator {
namespace {

constexpr std::size_t kKib = 1024;
constexpr std::size_t kGib = kKib * kKib * kKib;

void fill_common(cudaDeviceProp& p, int index) {
  p.sharedMemPerBlock = 48 * kKib;
  p.warpSize = 32;
  p.memPitch = 2147483647;
  p.maxThreadsPerBlock = 1024;
  const int threads[] = {1024, 1024, 64};
  const int grid[] = {2147483647, 65535, 65535};
  std::copy_n(threads, 3, p.maxThreadsDim);
  std::copy_n(grid, 3, p.maxGridSize);
  p.totalConstMem = 64 * kKib;
  p.textureAlignment = 512;
  p.texturePitchAlignment = 32;
  p.canMapHostMemory = 1;
  p.surfaceAlignment = 512;
  p.concurrentKernels = 1;
  p.ECCEnabled = 1;
  p.pciBusID = index + 1;
  p.asyncEngineCount = 3;
  p.unifiedAddressing = 1;
  p.memoryBusWidth = 5120;
  p.streamPrioritiesSupported = 1;
  p.globalL1CacheSupported = 1;
  p.localL1CacheSupported = 1;
  p.managedMemory = 1;
  p.concurrentManagedAccess = 1;
  p.computePreemptionSupported = 1;
  p.canUseHostPointerForRegisteredMem = 1;
  p.cooperativeLaunch = 1;
  p.hostRegisterSupported = 1;
  p.memoryPoolsSupported = 1;
  p.accessPolicyMaxWindowSize = 134213632;
  p.hostNumaId = -1;
  p.deviceNumaId = -1;
  std::memcpy(p.uuid.bytes, "ptx-emulator ", 13);
  p.uuid.bytes[15] = static_cast<char>(index);
}

void fill_limits(cudaDeviceProp& p, const DeviceLimits& limits) {
  const Multiprocessor& each = limits.each;
  p.multiProcessorCount = static_cast<int>(limits.multiprocessors);
  p.maxThreadsPerMultiProcessor = static_cast<int>(each.threads);
  p.maxBlocksPerMultiProcessor = static_cast<int>(each.blocks);
  p.regsPerMultiprocessor = p.regsPerBlock = static_cast<int>(each.registers);
  p.sharedMemPerMultiprocessor = each.shared_bytes;
  p.reservedSharedMemPerBlock = each.reserved_shared_bytes;
  p.sharedMemPerBlockOptin = each.shared_bytes - each.reserved_shared_bytes;
}

template <typename Member>
struct Attribute {
  cudaDeviceAttr attribute;
  Member value;
};

constexpr Attribute<int cudaDeviceProp::*> kInts[] = {
    {cudaDevAttrMaxThreadsPerBlock, &cudaDeviceProp::maxThreadsPerBlock},
    {cudaDevAttrWarpSize, &cudaDeviceProp::warpSize},
    {cudaDevAttrMaxRegistersPerBlock, &cudaDeviceProp::regsPerBlock},
    {cudaDevAttrMultiProcessorCount, &cudaDeviceProp::multiProcessorCount},
    {cudaDevAttrIntegrated, &cudaDeviceProp::integrated},
    {cudaDevAttrCanMapHostMemory, &cudaDeviceProp::canMapHostMemory},
    {cudaDevAttrConcurrentKernels, &cudaDeviceProp::concurrentKernels},
    {cudaDevAttrEccEnabled, &cudaDeviceProp::ECCEnabled},
    {cudaDevAttrPciBusId, &cudaDeviceProp::pciBusID},
    {cudaDevAttrPciDeviceId, &cudaDeviceProp::pciDeviceID},
    {cudaDevAttrPciDomainId, &cudaDeviceProp::pciDomainID},
    {cudaDevAttrTccDriver, &cudaDeviceProp::tccDriver},
    {cudaDevAttrGlobalMemoryBusWidth, &cudaDeviceProp::memoryBusWidth},
    {cudaDevAttrL2CacheSize, &cudaDeviceProp::l2CacheSize},
    {cudaDevAttrMaxThreadsPerMultiProcessor, &cudaDeviceProp::maxThreadsPerMultiProcessor},
    {cudaDevAttrAsyncEngineCount, &cudaDeviceProp::asyncEngineCount},
    {cudaDevAttrUnifiedAddressing, &cudaDeviceProp::unifiedAddressing},
    {cudaDevAttrComputeCapabilityMajor, &cudaDeviceProp::major},
    {cudaDevAttrComputeCapabilityMinor, &cudaDeviceProp::minor},
    {cudaDevAttrStreamPrioritiesSupported, &cudaDeviceProp::streamPrioritiesSupported},
    {cudaDevAttrGlobalL1CacheSupported, &cudaDeviceProp::globalL1CacheSupported},
    {cudaDevAttrLocalL1CacheSupported, &cudaDeviceProp::localL1CacheSupported},
    {cudaDevAttrMaxRegistersPerMultiprocessor, &cudaDeviceProp::regsPerMultiprocessor},
    {cudaDevAttrManagedMemory, &cudaDeviceProp::managedMemory},
    {cudaDevAttrIsMultiGpuBoard, &cudaDeviceProp::isMultiGpuBoard},
    {cudaDevAttrMultiGpuBoardGroupID, &cudaDeviceProp::multiGpuBoardGroupID},
    {cudaDevAttrHostNativeAtomicSupported, &cudaDeviceProp::hostNativeAtomicSupported},
    {cudaDevAttrPageableMemoryAccess, &cudaDeviceProp::pageableMemoryAccess},
    {cudaDevAttrConcurrentManagedAccess, &cudaDeviceProp::concurrentManagedAccess},
    {cudaDevAttrComputePreemptionSupported, &cudaDeviceProp::computePreemptionSupported},
    {cudaDevAttrCanUseHostPointerForRegisteredMem,
     &cudaDeviceProp::canUseHostPointerForRegisteredMem},
    {cudaDevAttrCooperativeLaunch, &cudaDeviceProp::cooperativeLaunch},
    {cudaDevAttrHostRegisterSupported, &cudaDeviceProp::hostRegisterSupported},
    {cudaDevAttrMaxBlocksPerMultiprocessor, &cudaDeviceProp::maxBlocksPerMultiProcessor},
    {cudaDevAttrMaxPersistingL2CacheSize, &cudaDeviceProp::persistingL2CacheMaxSize},
    {cudaDevAttrMaxAccessPolicyWindowSize, &cudaDeviceProp::accessPolicyMaxWindowSize},
    {cudaDevAttrMemoryPoolsSupported, &cudaDeviceProp::memoryPoolsSupported},
    {cudaDevAttrClusterLaunch, &cudaDeviceProp::clusterLaunch},
    {cudaDevAttrNumaId, &cudaDeviceProp::deviceNumaId},
    {cudaDevAttrHostNumaId, &cudaDeviceProp::hostNumaId},
};
constexpr Attribute<std::size_t cudaDeviceProp::*> kSizes[] = {
    {cudaDevAttrMaxSharedMemoryPerBlock, &cudaDeviceProp::sharedMemPerBlock},
    {cudaDevAttrTotalConstantMemory, &cudaDeviceProp::totalConstMem},
    {cudaDevAttrMaxPitch, &cudaDeviceProp::memPitch},
    {cudaDevAttrTextureAlignment, &cudaDeviceProp::textureAlignment},
    {cudaDevAttrSurfaceAlignment, &cudaDeviceProp::surfaceAlignment},
    {cudaDevAttrTexturePitchAlignment, &cudaDeviceProp::texturePitchAlignment},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, &cudaDeviceProp::sharedMemPerMultiprocessor},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, &cudaDeviceProp::sharedMemPerBlockOptin},
    {cudaDevAttrReservedSharedMemoryPerBlock, &cudaDeviceProp::reservedSharedMemPerBlock},
};
constexpr Attribute<int> kConstants[] = {
    {cudaDevAttrGpuOverlap, 1},
    {cudaDevAttrKernelExecTimeout, 0},
    {cudaDevAttrComputeMode, 0},
    {cudaDevAttrSingleToDoublePrecisionPerfRatio, 2},
    {cudaDevAttrCanFlushRemoteWrites, 0},
    {cudaDevAttrPageableMemoryAccessUsesHostPageTables, 0},
    {cudaDevAttrDirectManagedMemAccessFromHost, 0},
    {cudaDevAttrSparseCudaArraySupported, 0},
    {cudaDevAttrHostRegisterReadOnlySupported, 0},
    {cudaDevAttrTimelineSemaphoreInteropSupported, 0},
    {cudaDevAttrGPUDirectRDMASupported, 0},
    {cudaDevAttrGPUDirectRDMAFlushWritesOptions, 0},
    {cudaDevAttrGPUDirectRDMAWritesOrdering, 0},
    {cudaDevAttrMemoryPoolSupportedHandleTypes, 0},
    {cudaDevAttrDeferredMappingCudaArraySupported, 0},
    {cudaDevAttrIpcEventSupport, 0},
    {cudaDevAttrNumaConfig, 0},
    {cudaDevAttrMpsEnabled, 0},
    {cudaDevAttrD3D12CigSupported, 0},
    {cudaDevAttrVulkanCigSupported, 0},
    {cudaDevAttrHostNumaMemoryPoolsSupported, 0},
    {cudaDevAttrHostNumaMultinodeIpcSupported, 0},
    {cudaDevAttrHostMemoryPoolsSupported, 0},
    {cudaDevAttrGpuPciDeviceId, 0},
    {cudaDevAttrGpuPciSubsystemId, 0},
};

}  // namespace

cudaDeviceProp device_properties(DeviceName name, int index, std::uint64_t memory_bytes) {
  cudaDeviceProp p{};
  fill_common(p, index);
  if (name == DeviceName::kA100) {
    // The larger of the two boards when that much memory is asked for.
    const bool large = memory_bytes > 40 * kGib;
    std::snprintf(p.name, sizeof p.name, "NVIDIA A100-SXM4-%s", large ? "80GB" : "40GB");
    p.totalGlobalMem = (large ? 80 : 40) * kGib;
    p.major = 8;
    p.l2CacheSize = static_cast<int>(40 * kKib * kKib);
  } else {
    std::snprintf(p.name, sizeof p.name, "NVIDIA H100 80GB HBM3");
    p.totalGlobalMem = 80 * kGib;
    p.major = 9;
    p.l2CacheSize = static_cast<int>(50 * kKib * kKib);
    p.clusterLaunch = 1;
    p.unifiedFunctionPointers = 1;
  }
  fill_limits(p, device_limits(static_cast<std::uint32_t>(10 * p.major + p.minor)));
  p.persistingL2CacheMaxSize = p.l2CacheSize / 4 * 3;
  if (memory_bytes != 0) p.totalGlobalMem = memory_bytes;
  return p;
}

bool device_attribute(const cudaDeviceProp& p, cudaDeviceAttr attribute, int& value) {
  for (const auto& entry : kInts) {
    if (entry.attribute == attribute) return value = p.*entry.value, true;
  }
  for (const auto& entry : kSizes) {
    if (entry.attribute == attribute) return value = static_cast<int>(p.*entry.value), true;
  }
  for (const auto& entry : kConstants) {
    if (entry.attribute == attribute) return value = entry.value, true;
  }
  switch (attribute) {
    case cudaDevAttrMaxBlockDimX:
      value = p.maxThreadsDim[0];
      return true;
    case cudaDevAttrMaxBlockDimY:
      value = p.maxThreadsDim[1];
      return true;
    case cudaDevAttrMaxBlockDimZ:
      value = p.maxThreadsDim[2];
      return true;
    case cudaDevAttrMaxGridDimX:
      value = p.maxGridSize[0];
      return true;
    case cudaDevAttrMaxGridDimY:
      value = p.maxGridSize[1];
      return true;
    case cudaDevAttrMaxGridDimZ:
      value = p.maxGridSize[2];
      return true;
    case cudaDevAttrClockRate:
      value = p.major == 8 ? 1410000 : 1980000;
      return true;
    case cudaDevAttrMemoryClockRate:
      value = p.major == 8 ? 1215000 : 2619000;
      return true;
    case cudaDevAttrMemSyncDomainCount:
      value = p.major >= 9 ? 4 : 1;
      return true;
    default:
      return false;
  }
}

}  // namespace ptx_emulator
