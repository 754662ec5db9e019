#pragma once
// From the arguments of a copy or fill to queued work, with the rules on when the call may return.

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

CopyOperation line_copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind);
CopyOperation plane_copy(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind);
// Throws ApiError for arrays (not supported).
CopyOperation volume_copy(const cudaMemcpy3DParms& parameters);
FillOperation plane_fill(void* to, std::size_t pitch, std::uint32_t value,
                         std::uint32_t element_bytes, std::size_t width, std::size_t height);

// Checks the copy and queues it. `asynchronous`: returns at once, but for pageable memory of the
// host, whose source is copied before and whose target is waited for. Otherwise only copies within
// devices return before their end.
void copy(Call& call, cudaStream_t stream, CopyOperation operation, bool asynchronous);
void fill(Call& call, cudaStream_t stream, const FillOperation& operation, bool asynchronous);

// Address of [offset, offset + bytes) of a __device__ or __constant__ variable on the thread's
// device. Throws ApiError.
std::uint64_t symbol_address(Call& call, const void* symbol, std::size_t bytes, std::size_t offset);
// All of it.
struct SymbolPlace {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};
SymbolPlace find_symbol(Call& call, const void* symbol);

}  // namespace ptx_emulator
