#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <utility>

namespace ptx_emulator::stand_ins {
namespace {

using HostPointer = void* (*)(const void*, std::size_t);
using Enqueue = int (*)(CUstream_st*, void (*)(void*), void*, void (*)(void*), const char*);
using Fault = void (*)(int, const char*);
using NumThreads = int (*)();
using NoteWritten = void (*)(const void*, std::size_t);

struct Link {
  HostPointer host_pointer = nullptr;
  Enqueue enqueue = nullptr;
  Fault fault = nullptr;
  NumThreads num_threads = nullptr;
  NoteWritten note_written = nullptr;
};

const Link& link() {
  static const Link found = {
      reinterpret_cast<HostPointer>(runtime_function("ptxEmulatorHostPointer")),
      reinterpret_cast<Enqueue>(runtime_function("ptxEmulatorEnqueue")),
      reinterpret_cast<Fault>(runtime_function("ptxEmulatorFault")),
      reinterpret_cast<NumThreads>(runtime_function("ptxEmulatorNumThreads")),
      reinterpret_cast<NoteWritten>(runtime_function("ptxEmulatorNoteWritten")),
  };
  return found;
}

struct Work {
  std::function<void()> run;
  std::string label;
};

void run_work(void* data) {
  const Work& work = *static_cast<const Work*>(data);
  try {
    work.run();
  } catch (const OperandFault& error) {
    fault(error.error(), work.label + ": " + error.what());
  } catch (const std::exception& error) {
    fault(kCudaErrorLaunchFailure, work.label + ": " + error.what());
  }
}

void destroy_work(void* data) {
  delete static_cast<Work*>(data);
}

}  // namespace

void* runtime_function(const char* name) {
  if (void* const found = dlsym(RTLD_DEFAULT, name); found != nullptr) return found;
  // A program may load the runtime, and then this library, each with symbols of its own.
  void* const runtime = dlopen("libcudart.so.13", RTLD_NOLOAD | RTLD_NOW);
  if (runtime == nullptr) return nullptr;
  void* const found = dlsym(runtime, name);
  dlclose(runtime);  // takes back this look alone
  return found;
}

bool runtime_present() {
  return link().enqueue != nullptr && link().host_pointer != nullptr;
}

void* host_pointer_or_null(const void* device, std::size_t bytes) {
  if (bytes == 0) return const_cast<void*>(device);
  return runtime_present() ? link().host_pointer(device, bytes) : nullptr;
}

void* host_pointer(const void* device, std::size_t bytes, const char* what) {
  void* const host = host_pointer_or_null(device, bytes);
  if (host == nullptr && bytes != 0) {
    char text[200];
    std::snprintf(text, sizeof text, "%s: %zu bytes at %p are not inside one live allocation", what,
                  bytes, device);
    throw OperandFault(kCudaErrorIllegalAddress, text);
  }
  return host;
}

void note_written(const void* device, std::size_t bytes) {
  if (link().note_written != nullptr) link().note_written(device, bytes);
}

void* writable_pointer(void* device, std::size_t bytes, const char* what) {
  void* const host = host_pointer(device, bytes, what);
  note_written(device, bytes);
  return host;
}

int enqueue(CUstream_st* stream, std::function<void()> work, const char* label) {
  if (!runtime_present()) {
    std::fprintf(stderr,
                 "ptx-emulator: %s: the emulator's libcudart.so.13 is not loaded in this process; "
                 "put its folder first in LD_LIBRARY_PATH and link with -cudart shared\n",
                 label);
    return kCudaErrorInitialization;
  }
  auto data = std::make_unique<Work>(Work{std::move(work), label});
  const int error = link().enqueue(stream, run_work, data.get(), destroy_work, label);
  if (error == kCudaSuccess) data.release();  // the runtime destroys it
  return error;
}

void fault(int error, const std::string& message) {
  if (link().fault != nullptr) {
    link().fault(error, message.c_str());
  } else {
    std::fprintf(stderr, "ptx-emulator: error %d: %s\n", error, message.c_str());
  }
}

int num_threads() {
  const int threads = link().num_threads != nullptr ? link().num_threads() : 1;
  return threads < 1 ? 1 : threads;
}

}  // namespace ptx_emulator::stand_ins
