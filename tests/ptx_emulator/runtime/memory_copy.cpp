#include "tests/ptx_emulator/runtime/memory_copy.h"

#include <cstring>

namespace ptx_emulator {
namespace {

std::uint64_t number(const void* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}

enum class Location { kPageable, kPinned, kDevice };

Location place_of(const Runtime& runtime, std::uint64_t address) {
  const Allocation* const found = runtime.find(address);
  if (found == nullptr) return Location::kPageable;
  const bool of_device = found->kind == MemoryKind::kDevice || found->kind == MemoryKind::kConstant;
  return of_device ? Location::kDevice : Location::kPinned;
}

// The source's bytes as they are now, densely; the program may overwrite them when the call
// returns.
void stage(CopyOperation& copy) {
  std::uint64_t bytes = 0;
  require(!__builtin_mul_overflow(copy.width, copy.height, &bytes) &&
              !__builtin_mul_overflow(bytes, copy.depth, &bytes),
          "its size does not fit 64 bits");
  auto staged = std::make_shared<std::vector<std::byte>>(bytes);
  const auto* const from = reinterpret_cast<const std::byte*>(copy.from.address);
  for (std::uint64_t z = 0; z < copy.depth; ++z) {
    for (std::uint64_t y = 0; y < copy.height; ++y) {
      std::memcpy(staged->data() + (z * copy.height + y) * copy.width,
                  from + z * copy.from.slice_pitch + y * copy.from.row_pitch, copy.width);
    }
  }
  copy.staged = std::move(staged);
  copy.from.row_pitch = copy.width;
  copy.from.slice_pitch = copy.width * copy.height;
}

Box box_at(const cudaPitchedPtr& memory, const cudaPos& position) {
  Box box{.address = number(memory.ptr), .row_pitch = memory.pitch, .slice_pitch = 0};
  std::uint64_t rows = 0, slices = 0;
  require(!__builtin_mul_overflow(memory.pitch, memory.ysize, &box.slice_pitch) &&
              !__builtin_mul_overflow(memory.pitch, position.y, &rows) &&
              !__builtin_mul_overflow(box.slice_pitch, position.z, &slices) &&
              !__builtin_add_overflow(box.address, rows, &box.address) &&
              !__builtin_add_overflow(box.address, slices, &box.address) &&
              !__builtin_add_overflow(box.address, position.x, &box.address),
          "its place does not fit 64 bits");
  return box;
}

}  // namespace

CopyOperation line_copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return plane_copy(to, bytes, from, bytes, bytes, bytes == 0 ? 0 : 1, kind);
}

CopyOperation plane_copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  CopyOperation copy;
  copy.to = {.address = number(to), .row_pitch = to_pitch, .slice_pitch = 0};
  copy.from = {.address = number(from), .row_pitch = from_pitch, .slice_pitch = 0};
  copy.width = width;
  copy.height = height;
  copy.kind = kind;
  require(to_pitch >= width && from_pitch >= width, "a pitch is smaller than the rows",
          cudaErrorInvalidPitchValue);
  copy.asked.srcPtr = {const_cast<void*>(from), from_pitch, width, height};
  copy.asked.dstPtr = {to, to_pitch, width, height};
  copy.asked.extent = {width, height, 1};
  copy.asked.kind = kind;
  return copy;
}

CopyOperation volume_copy(const cudaMemcpy3DParms& parameters) {
  require(parameters.srcArray == nullptr && parameters.dstArray == nullptr,
          "CUDA arrays are not supported", cudaErrorNotSupported);
  CopyOperation copy;
  copy.to = box_at(parameters.dstPtr, parameters.dstPos);
  copy.from = box_at(parameters.srcPtr, parameters.srcPos);
  copy.width = parameters.extent.width;
  copy.height = parameters.extent.height;
  copy.depth = parameters.extent.depth;
  copy.kind = parameters.kind;
  copy.asked = parameters;
  return copy;
}

FillOperation plane_fill(void* to, std::size_t pitch, std::uint32_t value,
                         std::uint32_t element_bytes, std::size_t width, std::size_t height) {
  FillOperation fill;
  fill.to = {.address = number(to), .row_pitch = pitch, .slice_pitch = 0};
  fill.value = value;
  fill.element_bytes = element_bytes;
  fill.width = width;
  fill.height = height;
  return fill;
}

void copy(Call& call, cudaStream_t handle, CopyOperation operation, bool asynchronous) {
  Stream& stream = call.stream(handle);
  if (!asynchronous) call.forbid_capture();
  check(operation);
  if (operation.width == 0 || operation.height == 0 || operation.depth == 0) return;
  if (stream.capture) {
    submit(call.lock, stream, std::move(operation));
    return;
  }
  const Location to = place_of(call.runtime, operation.to.address);
  const Location from = place_of(call.runtime, operation.from.address);
  bool late = to == Location::kDevice && from == Location::kDevice;
  if (asynchronous) {
    late = to != Location::kPageable && !(to == Location::kPinned && from == Location::kPageable);
    if (late && from == Location::kPageable) stage(operation);
  }
  Device* const device = stream.device;
  const WorkPointer work = submit(call.lock, stream, std::move(operation));
  if (late) return;
  call.runtime.scheduler.wait(call.lock, work);
  require(device->sticky == cudaSuccess, "", device->sticky);
}

void fill(Call& call, cudaStream_t handle, const FillOperation& operation, bool asynchronous) {
  Stream& stream = call.stream(handle);
  if (!asynchronous) call.forbid_capture();
  check(operation);
  Device* const device = stream.device;
  const WorkPointer work = submit(call.lock, stream, operation);
  if (asynchronous || place_of(call.runtime, operation.to.address) == Location::kDevice) return;
  call.runtime.scheduler.wait(call.lock, work);
  require(device->sticky == cudaSuccess, "", device->sticky);
}

SymbolPlace find_symbol(Call& call, const void* symbol) {
  const RegisteredVariable* const variable = call.runtime.programs.variable(symbol);
  require(variable != nullptr, "the address is no __device__ or __constant__ variable",
          cudaErrorInvalidSymbol);
  const Program::Symbol found = variable->module->program(call.device()).symbol(variable->name);
  if (found.address == 0) {
    throw ApiError(cudaErrorInvalidSymbol, "the device code has no variable " + variable->name);
  }
  return {found.address, found.bytes};
}

std::uint64_t symbol_address(Call& call, const void* symbol, std::size_t bytes,
                             std::size_t offset) {
  const SymbolPlace place = find_symbol(call, symbol);
  if (offset > place.bytes || bytes > place.bytes - offset) {
    throw ApiError(cudaErrorInvalidValue, std::to_string(bytes) + " bytes at offset " +
                                              std::to_string(offset) + " of a variable of " +
                                              std::to_string(place.bytes) + " bytes");
  }
  return place.address + offset;
}

}  // namespace ptx_emulator
