// NVML: the values of the device that is played. Memory comes from the emulated runtime where the
// process has it.

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <strings.h>

#include "tests/ptx_emulator/stand_ins/nvml/nvml_types.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

using namespace ptx_emulator::stand_ins;

namespace {

// NVML counts its initialisations per process.
std::atomic<int> initialisations{0};

struct Played {
  const char* name;
  unsigned long long memory_bytes;
  unsigned power_limit_milliwatts, clock_megahertz, memory_clock_megahertz, pci_device;
  int major, minor;
};
constexpr Played kA100 = {
    "NVIDIA A100-SXM4-80GB", 80ULL << 30, 400'000, 1410, 1593, 0x20b210de, 8, 0};
constexpr Played kH100 = {
    "NVIDIA H100 80GB HBM3", 80ULL << 30, 700'000, 1980, 2619, 0x233010de, 9, 0};
const Played& played() {
  return plays_hopper() ? kH100 : kA100;
}

unsigned num_devices() {
  const char* const value = std::getenv("PTX_EMULATOR_DEVICES");
  const int devices = value != nullptr ? std::atoi(value) : 1;
  return static_cast<unsigned>(devices < 1 ? 1 : devices > 64 ? 64 : devices);
}

// Handles are indices from 1; no memory stands behind them.
nvmlDevice_t handle_of(unsigned index) {
  return reinterpret_cast<nvmlDevice_t>(static_cast<std::uintptr_t>(index) + 1);
}
unsigned index_of(nvmlDevice_t device) {
  return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(device) - 1);
}

nvmlReturn_t check(nvmlDevice_t device, const void* result) {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  const auto number = reinterpret_cast<std::uintptr_t>(device);
  return number == 0 || number > num_devices() || result == nullptr ? NVML_ERROR_INVALID_ARGUMENT
                                                                    : NVML_SUCCESS;
}

template <class Value>
nvmlReturn_t give(nvmlDevice_t device, Value* target, Value value) {
  const nvmlReturn_t status = check(device, target);
  if (status == NVML_SUCCESS) *target = value;
  return status;
}

nvmlReturn_t give_text(char* target, unsigned length, const std::string& value) {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  if (target == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  if (length <= value.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
  std::memcpy(target, value.c_str(), value.size() + 1);
  return NVML_SUCCESS;
}

std::string uuid_of(unsigned index) {
  return text("GPU-70747865-6d75-6c61-746f-%012x", index);
}

std::string bus_id_of(unsigned index) {
  return text("00000000:%02X:00.0", index + 1);
}

// Free and total bytes: the runtime's where it answers for this device.
void memory_of(unsigned index, unsigned long long& total, unsigned long long& free) {
  total = played().memory_bytes;
  if (const char* const value = std::getenv("PTX_EMULATOR_MEMORY"); value != nullptr)
    total = std::strtoull(value, nullptr, 10);
  free = total;
  const auto info =
      reinterpret_cast<int (*)(std::size_t*, std::size_t*)>(runtime_function("cudaMemGetInfo"));
  const auto current = reinterpret_cast<int (*)(int*)>(runtime_function("cudaGetDevice"));
  int device = -1;
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  if (info == nullptr || current == nullptr || current(&device) != kCudaSuccess ||
      device != static_cast<int>(index))
    return;
  if (info(&free_bytes, &total_bytes) != kCudaSuccess) return;
  free = free_bytes;
  total = total_bytes;
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlInitWithFlags(unsigned) {
  ++initialisations;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlInit_v2() {
  return nvmlInitWithFlags(0);
}
nvmlReturn_t nvmlInit() {
  return nvmlInitWithFlags(0);
}
nvmlReturn_t nvmlShutdown() {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  --initialisations;
  return NVML_SUCCESS;
}

const char* nvmlErrorString(nvmlReturn_t result) {
  switch (result) {
    case NVML_SUCCESS:
      return "Success";
    case NVML_ERROR_UNINITIALIZED:
      return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
      return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
      return "Not Supported";
    case NVML_ERROR_NOT_FOUND:
      return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE:
      return "Insufficient Size";
    default:
      return "Unknown Error";
  }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char* version, unsigned length) {
  return give_text(version, length, "580.65.06");
}
nvmlReturn_t nvmlSystemGetNVMLVersion(char* version, unsigned length) {
  return give_text(version, length, "13.580.65.06");
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int* version) {
  if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *version = 13000;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlSystemGetCudaDriverVersion(int* version) {
  return nvmlSystemGetCudaDriverVersion_v2(version);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned* count) {
  return give(handle_of(0), count, num_devices());
}
nvmlReturn_t nvmlDeviceGetCount(unsigned* count) {
  return nvmlDeviceGetCount_v2(count);
}
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t* device) {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  if (device == nullptr || index >= num_devices()) return NVML_ERROR_INVALID_ARGUMENT;
  *device = handle_of(index);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned index, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByIndex_v2(index, device);
}
nvmlReturn_t nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_t* device) {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  if (uuid == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  for (unsigned index = 0; index < num_devices(); ++index) {
    if (uuid_of(index) == uuid) return nvmlDeviceGetHandleByIndex_v2(index, device);
  }
  return NVML_ERROR_NOT_FOUND;
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, nvmlDevice_t* device) {
  if (initialisations.load() == 0) return NVML_ERROR_UNINITIALIZED;
  if (bus_id == nullptr || device == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  // Programs shorten the domain ("0000:01:00.0") or leave it out: bus, device and function decide.
  const std::string wanted = bus_id;
  for (unsigned index = 0; index < num_devices(); ++index) {
    const std::string own = bus_id_of(index).substr(9);
    if (wanted.size() >= own.size() &&
        strcasecmp(wanted.c_str() + wanted.size() - own.size(), own.c_str()) == 0) {
      return nvmlDeviceGetHandleByIndex_v2(index, device);
    }
  }
  return NVML_ERROR_NOT_FOUND;
}
nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char* bus_id, nvmlDevice_t* device) {
  return nvmlDeviceGetHandleByPciBusId_v2(bus_id, device);
}
nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned* index) {
  return give(device, index, index_of(device));
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char* name, unsigned length) {
  const nvmlReturn_t status = check(device, name);
  return status != NVML_SUCCESS ? status : give_text(name, length, played().name);
}
nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char* uuid, unsigned length) {
  const nvmlReturn_t status = check(device, uuid);
  return status != NVML_SUCCESS ? status : give_text(uuid, length, uuid_of(index_of(device)));
}
nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t* info) {
  if (const nvmlReturn_t status = check(device, info); status != NVML_SUCCESS) return status;
  nvmlPciInfo_t value{};
  const unsigned index = index_of(device);
  value.bus = index + 1;
  value.pciDeviceId = played().pci_device;
  const std::string id = bus_id_of(index);
  std::memcpy(value.busId, id.c_str(), id.size() + 1);
  std::memcpy(value.busIdLegacy, id.c_str() + 4, id.size() - 3);
  return give(device, info, value);
}
nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t* info) {
  return nvmlDeviceGetPciInfo_v3(device, info);
}
nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t* info) {
  return nvmlDeviceGetPciInfo_v3(device, info);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t* memory) {
  nvmlMemory_t value{};
  memory_of(index_of(device), value.total, value.free);
  value.used = value.total - value.free;
  return give(device, memory, value);
}
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t* memory) {
  const nvmlReturn_t status = check(device, memory);
  if (status != NVML_SUCCESS) return status;
  memory_of(index_of(device), memory->total, memory->free);
  memory->reserved = 0;
  memory->used = memory->total - memory->free;
  return NVML_SUCCESS;
}

// An emulated device has no sensors: constant values of an idle one, so that monitors have
// something to print.
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t* utilization) {
  return give(device, utilization, nvmlUtilization_t{0, 0});
}
nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, int, unsigned* celsius) {
  return give(device, celsius, 35U);
}
nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned* milliwatts) {
  return give(device, milliwatts, 60'000U);
}
nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned* milliwatts) {
  return give(device, milliwatts, played().power_limit_milliwatts);
}
nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned* milliwatts) {
  return give(device, milliwatts, played().power_limit_milliwatts);
}
nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, int clock, unsigned* megahertz) {
  constexpr int kMemoryClock = 2;
  return give(device, megahertz,
              clock == kMemoryClock ? played().memory_clock_megahertz : played().clock_megahertz);
}
nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, int clock, unsigned* megahertz) {
  return nvmlDeviceGetMaxClockInfo(device, clock, megahertz);
}
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                       unsigned long long* reasons) {
  return give(device, reasons, 0ULL);
}
nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int* major, int* minor) {
  if (minor == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  *minor = played().minor;
  return give(device, major, played().major);
}
nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned* percent) {
  const nvmlReturn_t status = check(device, percent);
  return status == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED
                                : status;  // as of passively cooled boards
}

}  // extern "C"
