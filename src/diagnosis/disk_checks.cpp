#include "src/diagnosis/disk_checks.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "src/core/error.h"
#include "src/memory/arena.h"

namespace ovid::diagnosis {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A file name of our own in a folder, removed at the end of the scope whatever happens.
class ProbeFile {
 public:
  explicit ProbeFile(const Path& directory) {
    std::random_device random;
    path_ = directory / fmt::format(".ovid-doctor-{:08x}{:08x}", random(), random());
  }
  ~ProbeFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ProbeFile(const ProbeFile&) = delete;
  ProbeFile& operator=(const ProbeFile&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

double seconds_of(std::filesystem::file_time_type time) {
  const auto now = std::filesystem::file_time_type::clock::now();
  return std::chrono::duration<double>(time - now).count();
}

}  // namespace

Path nearest_existing(const Path& directory) {
  std::error_code error;
  Path path = std::filesystem::absolute(directory, error);
  if (error) return ".";
  while (!std::filesystem::is_directory(path, error) && path.has_relative_path())
    path = path.parent_path();
  return path;
}

Finding check_free_space(const Path& directory, std::uint64_t free_bytes) {
  constexpr std::uint64_t kGiB = 1ull << 30;
  Finding finding{
      "disk space", Grade::kGood,
      fmt::format("{} free in {}", memory::readable_bytes(free_bytes), directory.string()), ""};
  if (free_bytes < kGiB / 4) {
    finding.grade = Grade::kBad;
    finding.cure = "free some space or set run.directory to another disk";
  } else if (free_bytes < 8 * kGiB) {
    // keep_last = 3, the initial and the best, of 1.4 GiB each.
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "five checkpoints of GPT-2 124M take 7 GiB: free some space, lower "
        "checkpoint.keep_last or set run.directory to another disk";
  }
  return finding;
}

DiskSpeed measure_disk(const Path& directory, std::uint64_t bytes) {
  constexpr std::size_t kPiece = 4 << 20, kSyncedBytes = 32 << 20, kSmall = 4096;
  constexpr double kPatience = 2.0;  // seconds for each of the two measurements
  const ProbeFile probe(directory);
  OutputFile file(probe.path(), WriteMode::kCreateNew);
  // Bytes that no disk can compress.
  std::vector<std::byte> data(kPiece);
  std::minstd_rand random(1);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random() >> 8);
  DiskSpeed speed;
  bytes = std::min(bytes, ovid::free_bytes(directory) / 10);
  std::uint64_t written = 0;
  const Clock::time_point start = Clock::now();
  while (written < bytes && seconds_since(start) < kPatience) {
    file.write(data);
    written += kPiece;
    // Now and then, so that the page cache does not swallow what a slow disk has yet to write.
    if (written % kSyncedBytes == 0) file.sync();
  }
  file.sync();
  speed.bytes_per_second = static_cast<double>(written) / seconds_since(start);
  std::vector<double> syncs;
  const Clock::time_point small_start = Clock::now();
  while (syncs.size() < 16 && (syncs.empty() || seconds_since(small_start) < kPatience)) {
    file.write(std::span(data).first(kSmall));
    const Clock::time_point sync_start = Clock::now();
    file.sync();
    syncs.push_back(seconds_since(sync_start));
  }
  std::nth_element(syncs.begin(), syncs.begin() + static_cast<std::ptrdiff_t>(syncs.size() / 2),
                   syncs.end());
  speed.sync_seconds = syncs[syncs.size() / 2];
  file.close();
  std::error_code error;
  const auto time = std::filesystem::last_write_time(probe.path(), error);
  if (!error) speed.clock_skew_seconds = seconds_of(time);
  return speed;
}

Findings check_disk_speed(const DiskSpeed& speed) {
  Finding write{"disk speed", Grade::kGood,
                fmt::format("{:.0f} MB/s written and synced", speed.bytes_per_second / 1e6), ""};
  if (speed.bytes_per_second < 100e6) {
    write.grade = Grade::kDoubtful;
    write.cure = fmt::format(
        "a checkpoint of GPT-2 124M (1.5 GB) takes {:.0f} s: set run.directory to a faster disk, "
        "or a larger checkpoint.every_steps",
        1.5e9 / std::max(speed.bytes_per_second, 1.0));
  }
  Finding sync{"fsync", Grade::kGood, fmt::format("{:.1f} ms", speed.sync_seconds * 1e3), ""};
  if (speed.sync_seconds > 0.05) {
    sync.grade = Grade::kDoubtful;
    sync.cure = "every checkpoint syncs some ten files: set run.directory to a local disk";
  }
  Finding clock{"clock of the disk", Grade::kGood, "agrees with this machine's", ""};
  if (std::abs(speed.clock_skew_seconds) > 5) {
    clock.grade = Grade::kDoubtful;
    clock.value = fmt::format("{:+.0f} s from this machine's", speed.clock_skew_seconds);
    clock.cure = "set both clocks (chrony, ntpd): times in logs will not agree";
  }
  return {write, sync, clock};
}

bool locks_work(const Path& directory) {
  const ProbeFile probe(directory);
  const auto first = FileLock::try_lock(probe.path(), "ovid doctor");
  if (!first) return false;
  // flock binds to the open file, not to the process: a second one must be refused.
  return !FileLock::try_lock(probe.path(), "ovid doctor").has_value();
}

Finding check_locks(bool work) {
  if (work) return {"file locks", Grade::kGood, "work", ""};
  return {"file locks", Grade::kDoubtful, "are not kept by this file system",
          "make sure that only one process trains a run: nothing here stops a second one"};
}

Findings check_disk(const Path& run_directory) {
  constexpr std::uint64_t kProbeBytes = 64ull << 20;
  const Path directory = nearest_existing(run_directory);
  try {
    Findings findings{check_free_space(directory, ovid::free_bytes(directory))};
    const DiskSpeed speed = measure_disk(directory, kProbeBytes);
    findings.push_back({"write permission", Grade::kGood, directory.string(), ""});
    for (Finding& finding : check_disk_speed(speed)) findings.push_back(std::move(finding));
    findings.push_back(check_locks(locks_work(directory)));
    return findings;
  } catch (const Error& error) {
    return {{"disk", Grade::kBad, error.what(),
             "set run.directory (or --directory here) to a folder that you may write"}};
  }
}

}  // namespace ovid::diagnosis
