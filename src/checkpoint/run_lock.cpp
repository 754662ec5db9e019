#include "src/checkpoint/run_lock.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "src/checkpoint/json_text.h"
#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::checkpoint {
namespace {

constexpr const char* kLockFile = "LOCK";

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "unknown-host";
  return name;
}

// Tells a process id of this start of the machine from the same id of an earlier one.
std::string boot_id() {
  try {
    std::string text = read_file("/proc/sys/kernel/random/boot_id", 64);
    text.erase(std::remove(text.begin(), text.end(), '\n'), text.end());
    return text;
  } catch (const Error&) {
    return "unknown-boot";
  }
}

// What the lock file says of its holder: one line of printable characters, whatever the file holds.
std::string holder_text(const Path& path) {
  constexpr std::size_t kShown = 300;
  std::string text;
  try {
    text = read_file(path, 4096);
  } catch (const Error&) {
    return "";
  }
  text.resize(std::min(text.size(), kShown));
  return printable(text);
}

FileLock take(const Path& path) {
  make_directories(path.parent_path());
  const std::string previous = holder_text(path);
  auto lock = FileLock::try_lock(path, fmt::format("{}:{}:{}", host_name(), ::getpid(), boot_id()));
  if (!lock) {
    const std::string holder = holder_text(path);
    throw ResourceError(
        fmt::format("{} is in use by process {} (host:pid:boot-id): stop that process, or choose "
                    "another run.name",
                    path.parent_path().string(), holder.empty() ? "unknown" : holder));
  }
  if (!previous.empty()) {
    log::warning(fmt::format(
        "the run's last process {} (host:pid:boot-id) ended without giving back {}; if it still "
        "runs on another host, stop it now",
        previous, path.string()));
  }
  return std::move(*lock);
}

}  // namespace

RunLock::RunLock(const Path& run_directory)
    : path_(run_directory / kLockFile), lock_(take(path_)) {}

RunLock::~RunLock() {
  // Emptied while still locked: an empty file means that its holder ended in good order.
  try {
    if (std::filesystem::exists(path_)) OutputFile(path_, WriteMode::kTruncate).close();
  } catch (const Error& error) {
    log::warning(error.what());
  }
}

}  // namespace ovid::checkpoint
