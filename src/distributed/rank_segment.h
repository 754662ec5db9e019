#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "src/distributed/abort_reason.h"
#include "src/distributed/flight_recorder.h"
#include "src/distributed/shared_memory.h"

namespace ovid::distributed {

// The memory that the ranks of one machine share, seen as what lies in it: for each rank its place,
// its flight recorder, and rotating buffers for pieces of operands. All bytes zero is the state
// before anybody joined.
class RankSegment {
 public:
  static constexpr int kBuffers = 3;
  static constexpr std::size_t kBuildBytes = 64;

  enum class State : std::int32_t { kAbsent = 0, kPresent, kLeft };

  // Lines of their own for what one rank writes while others read: `done` changes with every piece.
  struct Place {
    alignas(64) std::atomic<std::uint32_t> done;     // steps (rank_signals.h); a futex
    alignas(64) std::atomic<std::uint32_t> waiters;  // that sleep on `done`
    alignas(64) std::atomic<State> state;
    std::int32_t process;                 // in its own namespace: for messages
    std::uint64_t process_token;          // differs between processes, whatever their namespaces
    std::array<char, kBuildBytes> build;  // which program this is; ends with a zero
    // Of the collective in progress and of the one before, which others may still compare.
    std::array<CollectiveHeader, 2> headers;
  };

  static RankSegment create(int count);
  // Throws UsageError where the descriptor's memory is not that of so many ranks.
  static RankSegment open(int descriptor, int count);

  int count() const { return count_; }
  int descriptor() const { return memory_.descriptor(); }
  Place& place(int rank) const;
  // Why the run ended, and by whose fault: 1 + rank, 0 where it is nobody's alone.
  AbortReason& abort_reason() const;
  std::atomic<std::int32_t>& culprit() const;
  std::unique_ptr<FlightRecorder> recorder(int rank) const;

  // Of one buffer: a multiple of 64.
  std::size_t input_bytes() const { return input_bytes_; }    // a rank's pieces for others
  std::size_t result_bytes() const { return result_bytes_; }  // what a rank summed for others
  std::byte* input(int rank, int buffer) const;
  std::byte* result(int rank, int buffer) const;

 private:
  RankSegment(SharedMemory memory, int count);

  SharedMemory memory_;
  int count_;
  std::size_t input_bytes_;
  std::size_t result_bytes_;
};

}  // namespace ovid::distributed
