#include "tests/fuzz/fuzz_target.h"

#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "src/core/log.h"

namespace ovid::fuzz {
namespace {

// While an input is tried; atomic because the code under test may have threads.
std::atomic<std::size_t> most_ours{SIZE_MAX};
std::atomic<std::size_t> most_malloc{SIZE_MAX};

void check_allocation(std::size_t bytes, std::atomic<std::size_t>& most, const char* what) {
  const std::size_t limit = most.load(std::memory_order_relaxed);
  if (bytes <= limit) return;
  most_ours = SIZE_MAX;  // the report allocates too
  most_malloc = SIZE_MAX;
  std::fprintf(stderr,
               "fuzz: %s takes %zu bytes at once, more than the %zu that the input allows\n", what,
               bytes, limit);
  __sanitizer_print_stack_trace();
  std::abort();
}

void* take(std::size_t bytes) {
  check_allocation(bytes, most_ours, "operator new");
  return std::malloc(bytes == 0 ? 1 : bytes);
}

class WatchedMemory {
 public:
  explicit WatchedMemory(std::size_t input_bytes) {
    most_ours = kAllowedBytes.ours + 2 * input_bytes;
    most_malloc = kAllowedBytes.malloc_ + 2 * input_bytes;
  }
  ~WatchedMemory() {
    most_ours = SIZE_MAX;
    most_malloc = SIZE_MAX;
  }
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;
};

class TemporaryFolder {
 public:
  TemporaryFolder()
      : path_(std::filesystem::temp_directory_path() /
              ("ovid-fuzz-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

}  // namespace

void fail(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  __sanitizer_print_stack_trace();
  std::abort();
}

void check_message(std::string_view message, std::size_t most_bytes) {
  if (message.size() > most_bytes) {
    fail("a message of " + std::to_string(message.size()) +
         " bytes: " + std::string(message.substr(0, 200)));
  }
}

void check_shown(std::string_view text) {
  const bool steers = std::any_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
  });
  if (steers) fail("control characters in what is shown: " + std::string(text.substr(0, 4096)));
}

const Path& folder() {
  static const TemporaryFolder folder;
  return folder.path();
}

// Not OutputFile: what the target writes itself is not under test, and needs no care.
Path write_file(std::string_view name, std::string_view bytes) {
  const Path path = folder() / name;
  std::filesystem::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) fail("cannot write " + path.string());
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (std::fclose(file) != 0 || !written) fail("cannot write " + path.string());
  return path;
}

void empty_folder() {
  for (const auto& entry : std::filesystem::directory_iterator(folder()))
    std::filesystem::remove_all(entry.path());
}

std::map<std::string, std::string_view, std::less<>> split_sections(std::string_view input) {
  constexpr std::string_view kMark = "=== ";
  std::map<std::string, std::string_view, std::less<>> sections;
  const auto next_mark = [&](std::size_t from) {
    while (from < input.size() && !input.substr(from).starts_with(kMark)) {
      const std::size_t end = input.find('\n', from);
      from = end == std::string_view::npos ? input.size() : end + 1;
    }
    return from;
  };
  for (std::size_t at = next_mark(0); at < input.size();) {
    const std::size_t line_end = std::min(input.find('\n', at), input.size());
    const std::size_t begin = std::min(line_end + 1, input.size());
    const std::size_t next = next_mark(begin);
    const std::size_t end = next < input.size() && next > begin ? next - 1 : next;
    const std::string name(input.substr(at + kMark.size(), line_end - at - kMark.size()));
    sections[name] = input.substr(begin, end - begin);
    at = next;
  }
  return sections;
}

std::string_view section(const std::map<std::string, std::string_view, std::less<>>& sections,
                         std::string_view name) {
  const auto found = sections.find(name);
  return found == sections.end() ? std::string_view() : found->second;
}

void write_sections(const std::map<std::string, std::string_view, std::less<>>& sections,
                    const std::vector<std::string>& names) {
  empty_folder();
  for (const std::string& name : names) {
    const auto found = sections.find(name);
    if (found != sections.end()) write_file(name, found->second);
  }
}

}  // namespace ovid::fuzz

// The sanitizer calls this after each allocation of any code in the process.
extern "C" void __sanitizer_malloc_hook(const volatile void* /*address*/, std::size_t bytes) {
  ovid::fuzz::check_allocation(bytes, ovid::fuzz::most_malloc, "malloc");
}

// Replaced, so that our own code has the tighter limit; all forms but those of aligned memory,
// because the sanitizer's own do not call each other.
void* operator new(std::size_t bytes) {
  void* address = ovid::fuzz::take(bytes);
  if (address == nullptr) throw std::bad_alloc();
  return address;
}
void* operator new[](std::size_t bytes) {
  return operator new(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return ovid::fuzz::take(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return ovid::fuzz::take(bytes);
}
void operator delete(void* address) noexcept {
  std::free(address);
}
void operator delete[](void* address) noexcept {
  std::free(address);
}
void operator delete(void* address, std::size_t) noexcept {
  std::free(address);
}
void operator delete[](void* address, std::size_t) noexcept {
  std::free(address);
}
void operator delete(void* address, const std::nothrow_t&) noexcept {
  std::free(address);
}
void operator delete[](void* address, const std::nothrow_t&) noexcept {
  std::free(address);
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  ovid::log::set_level(ovid::log::Level::kError);
  ovid::fuzz::folder();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ovid::fuzz::WatchedMemory watched(size);
  ovid::fuzz::try_input({reinterpret_cast<const char*>(data), size});
  return 0;
}
