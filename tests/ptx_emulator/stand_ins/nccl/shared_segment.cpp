#include "tests/ptx_emulator/stand_ins/nccl/shared_segment.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <thread>

#include "tests/ptx_emulator/stand_ins/support/explain.h"

namespace ptx_emulator::stand_ins {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint32_t kReady = 0x4e43434c;
constexpr auto kPeerCheckInterval = std::chrono::milliseconds(20);
constexpr auto kDeadlockAfter = std::chrono::milliseconds(3000);

std::size_t round_to_page(std::size_t bytes) {
  return (bytes + 4095) / 4096 * 4096;
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value,
                std::chrono::milliseconds limit) {
  const timespec time = {limit.count() / 1000, (limit.count() % 1000) * 1'000'000};
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, value, &time, nullptr, 0);
}
void futex_wake_all(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT32_MAX, nullptr,
          nullptr, 0);
}

// Segments that this process has open, by name. A process must open each once: closing a second
// descriptor would drop the record locks that say that its ranks are alive.
std::mutex registry_mutex;
std::map<std::string, std::weak_ptr<SharedSegment>>& registry() {
  static std::map<std::string, std::weak_ptr<SharedSegment>> segments;
  return segments;
}

}  // namespace

struct SharedSegment::Header {
  std::atomic<std::uint32_t> ready;
  std::int32_t num_ranks;
  std::atomic<std::uint32_t> epoch;  // changes with everything that somebody may wait for
  std::atomic<std::uint32_t> failure_code;
  std::atomic<std::uint32_t> failure_claimed;
  char failure[400];
  RankSlot slots[kMaxRanks];
};

std::chrono::milliseconds communication_timeout() {
  const char* const value = std::getenv("PTX_EMULATOR_NCCL_TIMEOUT");
  const double seconds = value != nullptr ? std::atof(value) : 1800.0;
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(1000 * (seconds > 0 && seconds < 1e9 ? seconds : 1800.0)));
}

std::shared_ptr<SharedSegment> SharedSegment::open(const std::string& name, int num_ranks) {
  const std::scoped_lock lock(registry_mutex);
  std::weak_ptr<SharedSegment>& known = registry()[name];
  if (auto segment = known.lock()) {
    if (segment->num_ranks_ != num_ranks) {
      throw CommunicationError(
          ncclInvalidArgument,
          text("ranks disagree on the number of ranks: %d and %d", num_ranks, segment->num_ranks_));
    }
    return segment;
  }
  std::shared_ptr<SharedSegment> segment(new SharedSegment(name, num_ranks));
  known = segment;
  return segment;
}

SharedSegment::SharedSegment(std::string name, int num_ranks)
    : name_(std::move(name)), num_ranks_(num_ranks) {
  try {
    map();
  } catch (...) {
    if (memory_ != nullptr) munmap(memory_, bytes_);
    if (file_ >= 0) ::close(file_);
    throw;
  }
}

void SharedSegment::map() {
  const auto ranks = static_cast<std::size_t>(num_ranks_);
  const std::size_t reserved = round_to_page(sizeof(Header)) + 2 * kAreaBytes * ranks;
  bytes_ = reserved + round_to_page(sizeof(Channel)) * ranks * ranks;
  file_ = shm_open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool creator = file_ >= 0;
  if (!creator && errno == EEXIST) file_ = shm_open(name_.c_str(), O_RDWR | O_CLOEXEC, 0600);
  if (file_ < 0)
    throw CommunicationError(ncclSystemError,
                             text("shared memory %s: %s", name_.c_str(), std::strerror(errno)));
  if (creator) {
    const int error = ftruncate(file_, static_cast<off_t>(bytes_)) != 0
                          ? errno
                          : posix_fallocate(file_, 0, static_cast<off_t>(reserved));
    if (error != 0) {
      shm_unlink(name_.c_str());
      throw CommunicationError(ncclSystemError, text("/dev/shm has no room for %zu bytes: %s",
                                                     bytes_, std::strerror(error)));
    }
  }
  const auto deadline = Clock::now() + communication_timeout();
  struct stat status {};
  while (fstat(file_, &status) == 0 && static_cast<std::size_t>(status.st_size) < sizeof(Header)) {
    if (Clock::now() > deadline)
      throw CommunicationError(ncclSystemError, "the segment's creator never sized it");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (static_cast<std::size_t>(status.st_size) != bytes_) {
    throw CommunicationError(
        ncclInvalidArgument,
        text("ranks disagree on the number of ranks (this one says %d)", num_ranks_));
  }
  void* const mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (mapped == MAP_FAILED)
    throw CommunicationError(ncclSystemError,
                             text("cannot map %zu bytes of shared memory", bytes_));
  memory_ = static_cast<std::byte*>(mapped);
  header_ = reinterpret_cast<Header*>(memory_);
  if (creator) {
    header_->num_ranks = num_ranks_;
    header_->ready.store(kReady);
  }
  while (header_->ready.load() != kReady) {
    if (Clock::now() > deadline)
      throw CommunicationError(ncclSystemError, "the segment's creator never finished it");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

SharedSegment::~SharedSegment() {
  munmap(memory_, bytes_);
  ::close(file_);
}

RankSlot& SharedSegment::slot(int rank) {
  return header_->slots[rank];
}

std::byte* SharedSegment::contribution(int rank) {
  return memory_ + round_to_page(sizeof(Header)) + 2 * kAreaBytes * static_cast<std::size_t>(rank);
}
std::byte* SharedSegment::result(int rank) {
  return contribution(rank) + kAreaBytes;
}

Channel& SharedSegment::channel(int from, int to, bool claim) {
  const std::size_t each = round_to_page(sizeof(Channel));
  const std::size_t offset = round_to_page(sizeof(Header)) +
                             2 * kAreaBytes * static_cast<std::size_t>(num_ranks_) +
                             each * static_cast<std::size_t>(from * num_ranks_ + to);
  if (claim && posix_fallocate(file_, static_cast<off_t>(offset), static_cast<off_t>(each)) != 0) {
    throw CommunicationError(ncclSystemError, "/dev/shm has no room for another channel");
  }
  return *reinterpret_cast<Channel*>(memory_ + offset);
}

std::vector<int> SharedSegment::local_ranks() const {
  const std::scoped_lock lock(mutex_);
  return local_;
}

void SharedSegment::join(int rank, int device) {
  const std::scoped_lock lock(mutex_);
  if (slot(rank).joined.exchange(1) != 0)
    throw CommunicationError(ncclInvalidUsage, text("two callers are rank %d", rank));
  struct flock alive {};
  alive.l_type = F_WRLCK;
  alive.l_whence = SEEK_SET;
  alive.l_start = rank;
  alive.l_len = 1;
  if (fcntl(file_, F_SETLK, &alive) != 0)
    throw CommunicationError(ncclSystemError, "cannot lock a byte of shared memory");
  slot(rank).device = device;
  slot(rank).joined.store(2);  // 2: the lock is held, its absence from now on is a death
  local_.insert(std::upper_bound(local_.begin(), local_.end(), rank), rank);
  wake();
}

void SharedSegment::wait_for_all_joined() {
  try {
    wait({}, "ncclCommInitRank", [this] {
      for (int rank = 0; rank < num_ranks_; ++rank) {
        if (slot(rank).joined.load() != 2) return false;
      }
      return true;
    });
  } catch (...) {
    shm_unlink(name_.c_str());
    throw;
  }
  shm_unlink(name_.c_str());
}

void SharedSegment::leave(int rank) {
  std::uint32_t here = 0;
  slot(rank).left.compare_exchange_strong(here, 1);  // an aborted rank stays one
  wake();
}

bool SharedSegment::rank_is_alive(int rank) const {
  const RankSlot& place = header_->slots[rank];
  if (place.joined.load() != 2 || place.left.load() != 0) return true;
  const std::vector<int> local = local_ranks();
  if (std::find(local.begin(), local.end(), rank) != local.end()) return true;
  struct flock query {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  query.l_start = rank;
  query.l_len = 1;
  // The kernel drops a process's locks when it ends, however it ends.
  return fcntl(file_, F_GETLK, &query) != 0 || query.l_type != F_UNLCK || place.left.load() != 0;
}

void SharedSegment::wake() {
  header_->epoch.fetch_add(1);
  futex_wake_all(header_->epoch);
}

void SharedSegment::fail(int code, const std::string& reason) {
  if (header_->failure_claimed.exchange(1) == 0) {
    std::strncpy(header_->failure, reason.c_str(), sizeof header_->failure - 1);
    header_->failure_code.store(static_cast<std::uint32_t>(code));
  }
  wake();
}

void SharedSegment::check_peers() {
  if (aborted_.load())
    throw CommunicationError(ncclInternalError, "the communicator was aborted here");
  if (const std::uint32_t code = header_->failure_code.load(); code != 0) {
    throw CommunicationError(static_cast<int>(code), header_->failure);
  }
  for (int rank = 0; rank < num_ranks_; ++rank) {
    if (rank_is_alive(rank)) continue;
    fail(ncclRemoteError, text("rank %d has died", rank));
    throw CommunicationError(ncclRemoteError, text("rank %d has died", rank));
  }
}

void SharedSegment::check_deadlock(std::chrono::milliseconds unchanged) {
  if (unchanged < kDeadlockAfter) return;
  std::string activities;
  bool aborted = false;
  for (int rank = 0; rank < num_ranks_; ++rank) {
    const RankSlot& place = slot(rank);
    if (place.left.load() != 0) {
      aborted = aborted || place.left.load() == 2;
      activities += text("; rank %d has %s its communicator", rank,
                         place.left.load() == 2 ? "aborted" : "destroyed");
    } else if (place.waiting.load() != 0) {
      activities += text("; rank %d waits in %.119s", rank, place.activity);
    } else {
      return;  // somebody may still come
    }
  }
  fail(aborted ? ncclRemoteError : ncclInvalidUsage,
       "no rank can go on, their calls do not match" + activities);
}

void SharedSegment::wait(const std::vector<int>& ranks, const std::string& activity,
                         const std::function<bool()>& done) {
  if (done()) return;
  for (const int rank : ranks) {
    RankSlot& place = slot(rank);
    std::strncpy(place.activity, activity.c_str(), sizeof place.activity - 1);
    place.waiting.store(1);
  }
  struct Mark {  // taken back however the wait ends
    SharedSegment& segment;
    const std::vector<int>& ranks;
    ~Mark() {
      for (const int rank : ranks) segment.slot(rank).waiting.store(0);
    }
  } const mark{*this, ranks};
  const auto begin = Clock::now();
  auto changed = begin;
  auto checked = begin;
  std::uint32_t last = header_->epoch.load();
  while (true) {
    const std::uint32_t epoch = header_->epoch.load();
    if (done()) return;
    const auto now = Clock::now();
    if (epoch != last) changed = now;
    last = epoch;
    if (now - checked >= kPeerCheckInterval || aborted_.load()) {
      checked = now;
      check_peers();
      if (!ranks.empty()) {
        check_deadlock(std::chrono::duration_cast<std::chrono::milliseconds>(now - changed));
      }
      if (now - begin > communication_timeout()) {
        fail(ncclRemoteError, text("timeout (PTX_EMULATOR_NCCL_TIMEOUT) in %s", activity.c_str()));
      }
    }
    futex_wait(header_->epoch, epoch, kPeerCheckInterval);
  }
}

}  // namespace ptx_emulator::stand_ins
