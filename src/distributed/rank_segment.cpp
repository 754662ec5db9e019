#include "src/distributed/rank_segment.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/core/error.h"
#include "src/distributed/memory_flight_recorder.h"

namespace ovid::distributed {
namespace {

constexpr std::uint64_t kMagic = 0x6F766964'72616E6BULL;

struct Head {
  std::uint64_t magic;
  std::int32_t count;
  std::atomic<std::int32_t> culprit;
  AbortReason abort_reason;
};

constexpr std::size_t kPage = 4096;

constexpr std::size_t rounded_up(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

// A rank's buffers should stay in its core's second-level cache between writing and reading, and
// those of many ranks should not take memory that training needs. Where ranks share cores, fewer
// and larger pieces mean fewer changes between them: 8 ranks on 2 cores take a fifth less time with
// 512 KiB than with 64 (32 MiB of float32, Emerald Rapids).
std::size_t input_bytes_for(int count) {
  constexpr std::size_t kMost = std::size_t{512} << 10;
  constexpr std::size_t kLeast = std::size_t{64} << 10;
  constexpr std::size_t kTogether = std::size_t{8} << 20;
  return std::clamp(rounded_up(kTogether / static_cast<std::size_t>(count), kPage), kLeast, kMost);
}

// One rank's part of a piece, the parts being rounded up to lines.
std::size_t result_bytes_for(int count) {
  return rounded_up(input_bytes_for(count) / static_cast<std::size_t>(count) + 128, kPage);
}

std::size_t recorder_bytes() {
  return rounded_up(MemoryFlightRecorder::storage_bytes(), kPage);
}

std::size_t bytes_of_rank(int count) {
  return rounded_up(sizeof(RankSegment::Place), kPage) + recorder_bytes() +
         RankSegment::kBuffers * (input_bytes_for(count) + result_bytes_for(count));
}

constexpr std::size_t head_bytes() {
  return rounded_up(sizeof(Head), kPage);
}

std::size_t segment_bytes(int count) {
  return head_bytes() + static_cast<std::size_t>(count) * bytes_of_rank(count);
}

Head& head_of(const SharedMemory& memory) {
  return *reinterpret_cast<Head*>(memory.bytes().data());
}

std::byte* memory_of_rank(const SharedMemory& memory, int rank, int count) {
  return memory.bytes().data() + head_bytes() +
         static_cast<std::size_t>(rank) * bytes_of_rank(count);
}

}  // namespace

RankSegment RankSegment::create(int count) {
  RankSegment segment(SharedMemory::create(segment_bytes(count)), count);
  head_of(segment.memory_).magic = kMagic;
  head_of(segment.memory_).count = count;
  return segment;
}

RankSegment RankSegment::open(int descriptor, int count) {
  RankSegment segment(SharedMemory::open(descriptor, segment_bytes(count)), count);
  const Head& head = head_of(segment.memory_);
  if (head.magic != kMagic || head.count != count) {
    throw UsageError(
        "the memory that the ranks share is of another version of Ovid; start all "
        "ranks with the same program");
  }
  return segment;
}

RankSegment::RankSegment(SharedMemory memory, int count)
    : memory_(std::move(memory)),
      count_(count),
      input_bytes_(input_bytes_for(count)),
      result_bytes_(result_bytes_for(count)) {}

RankSegment::Place& RankSegment::place(int rank) const {
  return *reinterpret_cast<Place*>(memory_of_rank(memory_, rank, count_));
}

AbortReason& RankSegment::abort_reason() const {
  return head_of(memory_).abort_reason;
}

std::atomic<std::int32_t>& RankSegment::culprit() const {
  return head_of(memory_).culprit;
}

std::unique_ptr<FlightRecorder> RankSegment::recorder(int rank) const {
  std::byte* const storage =
      memory_of_rank(memory_, rank, count_) + rounded_up(sizeof(Place), kPage);
  return std::make_unique<MemoryFlightRecorder>(std::span(storage, recorder_bytes()));
}

std::byte* RankSegment::input(int rank, int buffer) const {
  return memory_of_rank(memory_, rank, count_) + rounded_up(sizeof(Place), kPage) +
         recorder_bytes() + static_cast<std::size_t>(buffer) * input_bytes_;
}

std::byte* RankSegment::result(int rank, int buffer) const {
  return input(rank, kBuffers) + static_cast<std::size_t>(buffer) * result_bytes_;
}

}  // namespace ovid::distributed
