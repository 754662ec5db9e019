#pragma once
// The one place where the stand-ins reach the emulator's runtime (runtime/extension.h, found by
// dlsym).

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>

struct CUstream_st;

namespace ptx_emulator::stand_ins {

// Numbers of cudaError_t that the stand-ins use.
constexpr int kCudaSuccess = 0;
constexpr int kCudaErrorInitialization = 3;
constexpr int kCudaErrorIllegalAddress = 700;
constexpr int kCudaErrorLaunchFailure = 719;

// An operand found bad when the work runs; becomes the device's sticky error.
class OperandFault : public std::runtime_error {
 public:
  OperandFault(int error, const std::string& message)
      : std::runtime_error(message), error_(error) {}
  int error() const { return error_; }

 private:
  int error_;
};

// True where the emulator's runtime is loaded in this process.
bool runtime_present();

// Host address of [device, device + bytes). Throws OperandFault (illegal address) with `what` in
// the message where that range is not inside one live allocation. Zero bytes: returns the pointer
// unread.
void* host_pointer(const void* device, std::size_t bytes, const char* what);
// As above, nullptr in place of the exception.
void* host_pointer_or_null(const void* device, std::size_t bytes);

// As host_pointer, for memory that is about to be written as a whole: it counts as initialised
// then.
void* writable_pointer(void* device, std::size_t bytes, const char* what);
// Tells the check for uninitialised memory that this part has been written.
void note_written(const void* device, std::size_t bytes);

// Queues `work` on the stream; it runs once, never, or (replayed graphs) often, on any thread. What
// it throws becomes the device's error, with `label` in front. Returns a cudaError_t.
int enqueue(CUstream_st* stream, std::function<void()> work, const char* label);

// Makes the device unusable with this error and prints the message.
void fault(int error, const std::string& message);

// Threads that work may use, at least 1.
int num_threads();

// Address of a function of the runtime, nullptr where it has none.
void* runtime_function(const char* name);

}  // namespace ptx_emulator::stand_ins
