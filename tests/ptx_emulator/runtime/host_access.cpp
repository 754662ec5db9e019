#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/ptx_emulator/runtime/runtime.h"

// Device addresses are mapped without access rights: a program that dereferences one on the host is
// stopped here, with the name of the allocation.
namespace ptx_emulator {
namespace {

Runtime* g_runtime = nullptr;
struct sigaction g_before;

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((g_before.sa_flags & SA_SIGINFO) != 0 && g_before.sa_sigaction != nullptr) {
    g_before.sa_sigaction(signal, info, context);
    return;
  }
  if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) {
    g_before.sa_handler(signal);
    return;
  }
  // The access is repeated when this returns, and then ends the process as the system does.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
}

// The process is lost: what this calls need not be safe in signals, but takes no lock of the
// runtime.
void handle(int signal, siginfo_t* info, void* context) {
  const std::uint64_t address = reinterpret_cast<std::uint64_t>(info->si_addr);
  bool reserved = g_runtime->host_memory.reserves(address);
  for (const auto& device : g_runtime->devices) reserved |= device->memory().reserves(address);
  if (reserved) {
    const Allocation* const found = g_runtime->find(address);
    char text[400];
    int length = 0;
    if (found != nullptr) {
      const bool device_memory =
          found->kind == MemoryKind::kDevice || found->kind == MemoryKind::kConstant;
      length = std::snprintf(
          text, sizeof text,
          "ptx-emulator: the host touched 0x%llx: %s, %llu bytes into %s (allocation %llu)%s%s\n",
          static_cast<unsigned long long>(address),
          device_memory ? "device memory" : "memory of the host",
          static_cast<unsigned long long>(address - found->begin), found->label.c_str(),
          static_cast<unsigned long long>(found->number), found->freed ? ", which was freed" : "",
          device_memory ? "; copy it with cudaMemcpy, or pass the host's pointer" : "");
    } else {
      length = std::snprintf(text, sizeof text,
                             "ptx-emulator: the host touched 0x%llx: an address of the device "
                             "outside every allocation\n",
                             static_cast<unsigned long long>(address));
    }
    const std::size_t bytes = std::min(static_cast<std::size_t>(length), sizeof text - 1);
    if (write(STDERR_FILENO, text, bytes) < 0) return;
  }
  pass_on(signal, info, context);
}

}  // namespace

void watch_host_accesses(Runtime& runtime) {
  g_runtime = &runtime;
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &g_before);
}

}  // namespace ptx_emulator
