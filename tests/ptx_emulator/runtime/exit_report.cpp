#include <cstdio>
#include <fstream>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {
namespace {

// The whole text or, with a message, nothing.
void write_file(const std::string& path, const std::string& text) {
  const std::string unfinished = path + ".tmp";
  std::ofstream file(unfinished, std::ios::binary);
  file << text;
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    std::fprintf(stderr, "ptx-emulator: cannot write %s\n", path.c_str());
    std::remove(unfinished.c_str());
  }
}

void write_counters(const Settings& settings, CounterReport& counters) {
  for (const auto& [kernel, bytes] : settings.ideal_bytes) {
    if (!counters.state_ideal_bytes(kernel, bytes)) {
      std::fprintf(stderr, "ptx-emulator: PTX_EMULATOR_IDEAL names %s, which was not launched\n",
                   kernel.c_str());
    }
  }
  const std::string& path = settings.counters_file;
  if (path == "-") {
    std::fputs(counters.text().c_str(), stderr);
  } else {
    write_file(path, path.ends_with(".json") ? counters.json() : counters.text());
  }
}

void list_leaks(const DeviceMemory& memory, const char* where) {
  std::uint64_t bytes = 0;
  std::uint64_t count = 0;
  for (const Allocation* const allocation : memory.live()) {
    // Variables live as long as their module.
    if (allocation->label.rfind("cuda", 0) != 0) continue;
    bytes += allocation->end - allocation->begin;
    if (++count <= 20) {
      std::fprintf(stderr, "ptx-emulator: never freed: %s\n", allocation->label.c_str());
    }
  }
  if (count != 0) {
    std::fprintf(stderr, "ptx-emulator: %llu allocations of %s, %llu bytes, were never freed\n",
                 static_cast<unsigned long long>(count), where,
                 static_cast<unsigned long long>(bytes));
  }
}

}  // namespace

void report_at_exit(Runtime& runtime) {
  // Work that runs at this moment goes on; nothing that this reads changes but by its own lock.
  Lock lock(runtime.mutex, std::try_to_lock);
  const Settings& settings = runtime.settings;
  if (runtime.scheduler.num_pending() != 0) {
    std::fprintf(stderr,
                 "ptx-emulator: %llu operations had not run when the program ended: nothing waited "
                 "for them\n",
                 static_cast<unsigned long long>(runtime.scheduler.num_pending()));
  }
  if (settings.report_leaks) {
    for (const auto& device : runtime.devices) list_leaks(device->memory(), "device memory");
    list_leaks(runtime.host_memory, "host memory");
  }
  if (!settings.counters_file.empty()) write_counters(settings, runtime.counters);
  if (runtime.num_reports() != 0) {
    std::fprintf(stderr, "ptx-emulator: %llu report%s",
                 static_cast<unsigned long long>(runtime.num_reports()),
                 runtime.num_reports() == 1 ? "" : "s");
    if (runtime.num_repeated_reports() != 0) {
      std::fprintf(stderr, ", of which %llu repeat those above in later launches",
                   static_cast<unsigned long long>(runtime.num_repeated_reports()));
    }
    std::fputc('\n', stderr);
  }
  if (!settings.summary_file.empty()) {
    write_file(settings.summary_file, std::to_string(runtime.num_reports()) + "\n");
  }
}

}  // namespace ptx_emulator
