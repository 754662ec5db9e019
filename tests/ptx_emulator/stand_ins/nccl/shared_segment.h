#pragma once
// The memory that the processes of one communicator share, and how they wait for each other in it.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx_emulator::stand_ins {

constexpr int kMaxRanks = 64;
constexpr std::size_t kAreaBytes = std::size_t{256}
                                   << 10;  // per rank, for what it contributes; as much for results
constexpr std::size_t kSlotBytes = std::size_t{32} << 10;  // of a point-to-point channel
constexpr std::uint64_t kNumSlots = 2;

// Why an operation cannot end. `code` is an ncclResult_t.
class CommunicationError : public std::runtime_error {
 public:
  CommunicationError(int code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

// What a rank is about to do, for comparison with the others and for messages.
struct CallDescription {
  std::int32_t kind = 0;
  std::int32_t type = 0;
  std::int32_t reduction = 0;
  std::int32_t root = 0;
  std::uint64_t count = 0;
  bool operator==(const CallDescription&) const = default;
};

// One rank's place. Zero-filled memory is a valid initial state.
struct RankSlot {
  std::atomic<std::uint32_t> joined;
  std::atomic<std::uint32_t> left;  // 1: destroyed, 2: aborted
  std::atomic<std::uint32_t> waiting;
  std::int32_t device;
  std::atomic<std::uint64_t> arrived;        // barriers of collectives reached
  std::uint64_t operations;                  // collectives begun; the owner's
  std::atomic<std::uint64_t> split_arrived;  // ncclCommSplit calls reached
  std::int32_t split_color[2];
  std::int32_t split_key[2];
  CallDescription call[2];  // by parity of the operation's number
  char activity[120];       // for messages about deadlocks
};

// One direction of a pair of ranks: a queue of pieces.
struct Channel {
  std::atomic<std::uint64_t> written;
  std::atomic<std::uint64_t> read;
  struct Slot {
    std::uint64_t total_bytes;
    std::uint32_t bytes;
    std::int32_t type;
    std::byte data[kSlotBytes];
  } slots[kNumSlots];
};

class SharedSegment {
 public:
  // Creates the segment of this name or joins it; ranks of one process share one object. Throws
  // CommunicationError.
  static std::shared_ptr<SharedSegment> open(const std::string& name, int num_ranks);
  ~SharedSegment();
  SharedSegment(const SharedSegment&) = delete;
  SharedSegment& operator=(const SharedSegment&) = delete;

  // Takes the rank's place: refused where it is taken. Visible to others at once.
  void join(int rank, int device);
  // Waits for all ranks, then removes the name.
  void wait_for_all_joined();
  // The rank needs the others no more.
  void leave(int rank);

  int num_ranks() const { return num_ranks_; }
  const std::string& name() const { return name_; }
  RankSlot& slot(int rank);
  std::byte* contribution(int rank);
  std::byte* result(int rank);
  // `claim`: about to be written for the first time; reserves memory, so that a full /dev/shm is an
  // error and no signal.
  Channel& channel(int from, int to, bool claim);

  // Ranks of this process, ascending.
  std::vector<int> local_ranks() const;

  // Waits until `done()`; others' changes are seen at once, a dead rank, an abort, a deadlock or
  // the timeout within tens of milliseconds: these throw CommunicationError. `ranks` are who waits,
  // `activity` what they do.
  void wait(const std::vector<int>& ranks, const std::string& activity,
            const std::function<bool()>& done);
  // To be called after every change that others may wait for.
  void wake();

  // Ends all operations of the communicator, here and elsewhere; the first reason stays.
  void fail(int code, const std::string& reason);
  // Throws where the communicator has failed or a rank has died.
  void check_peers();
  // This process's own end of it (ncclCommAbort): waits here throw.
  void abort_local() { aborted_.store(true); }

 private:
  struct Header;
  SharedSegment(std::string name, int num_ranks);
  void map();
  void check_deadlock(std::chrono::milliseconds unchanged);
  bool rank_is_alive(int rank) const;

  std::string name_;
  int num_ranks_;
  int file_ = -1;
  std::size_t bytes_ = 0;
  std::byte* memory_ = nullptr;
  Header* header_ = nullptr;
  std::atomic<bool> aborted_{false};
  mutable std::mutex mutex_;
  std::vector<int> local_;
};

// PTX_EMULATOR_NCCL_TIMEOUT, seconds; 1800 where it is not set.
std::chrono::milliseconds communication_timeout();

}  // namespace ptx_emulator::stand_ins
