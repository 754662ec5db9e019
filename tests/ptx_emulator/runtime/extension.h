#pragma once
// What the stand-ins of cuBLAS, NCCL and others ask of the runtime; found by dlsym(RTLD_DEFAULT,
// ...), so that they need not be linked against it.

#include <cstddef>

extern "C" {

struct CUstream_st;

// Host address of [device, device + bytes), or nullptr where that is not inside one live allocation
// (a device pointer or a host pointer: host memory is returned as it is).
void* ptxEmulatorHostPointer(const void* device, std::size_t bytes);

// Queues `work(data)` behind what the stream holds, to be run when the stream gets there; under
// capture it becomes a node of the graph, and may then run many times or never. `destroy(data)` is
// called when it can no longer run. `label` (copied) is what reports call it. Returns a
// cudaError_t.
int ptxEmulatorEnqueue(CUstream_st* stream, void (*work)(void*), void* data, void (*destroy)(void*),
                       const char* label);

// Makes the device unusable with this error, as a kernel's fault does; for work that finds bad
// operands when it runs.
void ptxEmulatorFault(int error, const char* message);

// [device, device + bytes) has been written through ptxEmulatorHostPointer: the check for
// uninitialised memory must know.
void ptxEmulatorNoteWritten(const void* device, std::size_t bytes);

// Number of threads that work may use.
int ptxEmulatorNumThreads(void);
}
