// Copies and fills.

#include "tests/ptx_emulator/runtime/memory_copy.h"

using namespace ptx_emulator;

namespace {

void* pointer(std::uint64_t address) {
  return reinterpret_cast<void*>(address);
}

cudaMemcpy3DParms peer_parameters(const cudaMemcpy3DPeerParms& p) {
  cudaMemcpy3DParms parameters{};
  parameters.srcArray = p.srcArray;
  parameters.dstArray = p.dstArray;
  parameters.srcPos = p.srcPos;
  parameters.dstPos = p.dstPos;
  parameters.srcPtr = p.srcPtr;
  parameters.dstPtr = p.dstPtr;
  parameters.extent = p.extent;
  parameters.kind = cudaMemcpyDefault;
  return parameters;
}

FillOperation volume_fill(const cudaPitchedPtr& memory, int value, const cudaExtent& extent) {
  FillOperation fill = plane_fill(memory.ptr, memory.pitch, static_cast<std::uint32_t>(value), 1,
                                  extent.width, extent.height);
  require(!__builtin_mul_overflow(memory.pitch, memory.ysize, &fill.to.slice_pitch),
          "its size does not fit 64 bits");
  fill.depth = extent.depth;
  return fill;
}

void to_symbol(Call& call, const void* symbol, const void* from, std::size_t bytes,
               std::size_t offset, cudaMemcpyKind kind, cudaStream_t stream, bool asynchronous) {
  copy(call, stream,
       line_copy(pointer(symbol_address(call, symbol, bytes, offset)), from, bytes, kind),
       asynchronous);
}

void from_symbol(Call& call, void* to, const void* symbol, std::size_t bytes, std::size_t offset,
                 cudaMemcpyKind kind, cudaStream_t stream, bool asynchronous) {
  copy(call, stream,
       line_copy(to, pointer(symbol_address(call, symbol, bytes, offset)), bytes, kind),
       asynchronous);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaMemcpy",
             [&](Call& call) { copy(call, nullptr, line_copy(to, from, bytes, kind), false); });
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  return api("cudaMemcpyAsync",
             [&](Call& call) { copy(call, stream, line_copy(to, from, bytes, kind), true); });
}
cudaError_t cudaMemcpyPeer(void* to, int to_device, const void* from, int from_device,
                           std::size_t bytes) {
  return api("cudaMemcpyPeer", [&](Call& call) {
    call.device(to_device);
    call.device(from_device);
    copy(call, nullptr, line_copy(to, from, bytes, cudaMemcpyDefault), false);
  });
}
cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device,
                                std::size_t bytes, cudaStream_t stream) {
  return api("cudaMemcpyPeerAsync", [&](Call& call) {
    call.device(to_device);
    call.device(from_device);
    copy(call, stream, line_copy(to, from, bytes, cudaMemcpyDefault), true);
  });
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                         std::size_t width, std::size_t height, cudaMemcpyKind kind) {
  return api("cudaMemcpy2D", [&](Call& call) {
    copy(call, nullptr, plane_copy(to, to_pitch, from, from_pitch, width, height, kind), false);
  });
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t height,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpy2DAsync", [&](Call& call) {
    copy(call, stream, plane_copy(to, to_pitch, from, from_pitch, width, height, kind), true);
  });
}
cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* p) {
  return api("cudaMemcpy3D", [&](Call& call) {
    require(p != nullptr);
    copy(call, nullptr, volume_copy(*p), false);
  });
}
cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* p, cudaStream_t stream) {
  return api("cudaMemcpy3DAsync", [&](Call& call) {
    require(p != nullptr);
    copy(call, stream, volume_copy(*p), true);
  });
}
cudaError_t cudaMemcpy3DPeer(const cudaMemcpy3DPeerParms* p) {
  return api("cudaMemcpy3DPeer", [&](Call& call) {
    require(p != nullptr);
    copy(call, nullptr, volume_copy(peer_parameters(*p)), false);
  });
}
cudaError_t cudaMemcpy3DPeerAsync(const cudaMemcpy3DPeerParms* p, cudaStream_t stream) {
  return api("cudaMemcpy3DPeerAsync", [&](Call& call) {
    require(p != nullptr);
    copy(call, stream, volume_copy(peer_parameters(*p)), true);
  });
}
cudaError_t cudaMemcpyBatchAsync(void* const* to, const void* const* from, const std::size_t* bytes,
                                 std::size_t count, cudaMemcpyAttributes*, std::size_t*,
                                 std::size_t, cudaStream_t stream) {
  return api("cudaMemcpyBatchAsync", [&](Call& call) {
    require(count == 0 || (to != nullptr && from != nullptr && bytes != nullptr));
    for (std::size_t i = 0; i < count; ++i) {
      copy(call, stream, line_copy(to[i], from[i], bytes[i], cudaMemcpyDefault), true);
    }
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, std::size_t bytes,
                               std::size_t offset, cudaMemcpyKind kind) {
  return api("cudaMemcpyToSymbol", [&](Call& call) {
    to_symbol(call, symbol, from, bytes, offset, kind, nullptr, false);
  });
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, std::size_t bytes,
                                    std::size_t offset, cudaMemcpyKind kind, cudaStream_t stream) {
  return api("cudaMemcpyToSymbolAsync",
             [&](Call& call) { to_symbol(call, symbol, from, bytes, offset, kind, stream, true); });
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, std::size_t bytes,
                                 std::size_t offset, cudaMemcpyKind kind) {
  return api("cudaMemcpyFromSymbol", [&](Call& call) {
    from_symbol(call, to, symbol, bytes, offset, kind, nullptr, false);
  });
}
cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, std::size_t bytes,
                                      std::size_t offset, cudaMemcpyKind kind,
                                      cudaStream_t stream) {
  return api("cudaMemcpyFromSymbolAsync",
             [&](Call& call) { from_symbol(call, to, symbol, bytes, offset, kind, stream, true); });
}
cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
  return api("cudaGetSymbolAddress", [&](Call& call) {
    require(address != nullptr);
    *address = pointer(find_symbol(call, symbol).address);
  });
}
cudaError_t cudaGetSymbolSize(std::size_t* bytes, const void* symbol) {
  return api("cudaGetSymbolSize", [&](Call& call) {
    require(bytes != nullptr);
    *bytes = find_symbol(call, symbol).bytes;
  });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  return api("cudaMemset", [&](Call& call) {
    fill(call, nullptr, plane_fill(to, bytes, static_cast<std::uint32_t>(value), 1, bytes, 1),
         false);
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return api("cudaMemsetAsync", [&](Call& call) {
    fill(call, stream, plane_fill(to, bytes, static_cast<std::uint32_t>(value), 1, bytes, 1), true);
  });
}
cudaError_t cudaMemset2D(void* to, std::size_t pitch, int value, std::size_t width,
                         std::size_t height) {
  return api("cudaMemset2D", [&](Call& call) {
    fill(call, nullptr, plane_fill(to, pitch, static_cast<std::uint32_t>(value), 1, width, height),
         false);
  });
}
cudaError_t cudaMemset2DAsync(void* to, std::size_t pitch, int value, std::size_t width,
                              std::size_t height, cudaStream_t stream) {
  return api("cudaMemset2DAsync", [&](Call& call) {
    fill(call, stream, plane_fill(to, pitch, static_cast<std::uint32_t>(value), 1, width, height),
         true);
  });
}
cudaError_t cudaMemset3D(cudaPitchedPtr memory, int value, cudaExtent extent) {
  return api("cudaMemset3D",
             [&](Call& call) { fill(call, nullptr, volume_fill(memory, value, extent), false); });
}
cudaError_t cudaMemset3DAsync(cudaPitchedPtr memory, int value, cudaExtent extent,
                              cudaStream_t stream) {
  return api("cudaMemset3DAsync",
             [&](Call& call) { fill(call, stream, volume_fill(memory, value, extent), true); });
}

}  // extern "C"
#pragma GCC visibility pop
