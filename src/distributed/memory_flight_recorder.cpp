#include "src/distributed/memory_flight_recorder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <new>
#include <type_traits>
#include <vector>

#include "kernels/common/errors.h"

namespace ovid::distributed {
namespace {

// clock_gettime is one of the few functions that a signal handler may call.
std::int64_t monotonic_nanoseconds() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{1'000'000'000} * time.tv_sec + time.tv_nsec;
}

constexpr std::size_t kWords = sizeof(FlightRecorder::Entry) / sizeof(std::uint64_t);
constexpr std::size_t kSequenceWord = offsetof(CollectiveHeader, sequence) / sizeof(std::uint64_t);
constexpr std::size_t kStartedWord =
    offsetof(FlightRecorder::Entry, started) / sizeof(std::uint64_t);
constexpr std::size_t kEndedWord = offsetof(FlightRecorder::Entry, ended) / sizeof(std::uint64_t);

using Words = std::array<std::uint64_t, kWords>;
static_assert(std::is_trivially_copyable_v<FlightRecorder::Entry>);
static_assert(sizeof(FlightRecorder::Entry) % sizeof(std::uint64_t) == 0);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace

// An entry in words that may be read while they are written. The version is odd while begin()
// writes: a reader that sees it odd, or changed, leaves the entry out.
struct MemoryFlightRecorder::Slot {
  std::atomic<std::uint64_t> version;
  std::array<std::atomic<std::uint64_t>, kWords> words;
};

std::size_t MemoryFlightRecorder::storage_bytes() {
  return kEntries * sizeof(Slot);
}

MemoryFlightRecorder::MemoryFlightRecorder()
    : own_(std::make_unique<Slot[]>(kEntries)), slots_(own_.get()) {}

MemoryFlightRecorder::MemoryFlightRecorder(std::span<std::byte> storage)
    : slots_(reinterpret_cast<Slot*>(storage.data())) {
  if (storage.size() < storage_bytes() ||
      reinterpret_cast<std::uintptr_t>(storage.data()) % alignof(Slot) != 0) {
    throw kernels::ShapeError(fmt::format("flight recorder: {} bytes of storage, expected {}",
                                          storage.size(), storage_bytes()));
  }
}

MemoryFlightRecorder::~MemoryFlightRecorder() = default;

MemoryFlightRecorder::Slot& MemoryFlightRecorder::slot_of(std::int64_t sequence) const {
  return slots_[static_cast<std::uint64_t>(sequence) % kEntries];
}

void MemoryFlightRecorder::begin(const CollectiveHeader& header) {
  Entry entry;
  // Bytes between members would travel as they are; cleared, so that nothing of the stack does.
  std::memset(static_cast<void*>(&entry), 0, sizeof entry);
  entry.header = header;
  entry.begun = monotonic_nanoseconds();
  Words words;
  std::memcpy(words.data(), &entry, sizeof entry);
  Slot& slot = slot_of(header.sequence);
  const std::uint64_t version = slot.version.load(std::memory_order_relaxed) | 1;
  slot.version.store(version, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kWords; ++i) {
    slot.words[i].store(words[i], std::memory_order_release);
  }
  slot.version.store(version + 1, std::memory_order_release);
}

void MemoryFlightRecorder::start(std::int64_t sequence) {
  stamp(sequence, kStartedWord);
}

void MemoryFlightRecorder::end(std::int64_t sequence) {
  stamp(sequence, kEndedWord);
}

void MemoryFlightRecorder::stamp(std::int64_t sequence, std::size_t word) {
  Slot& slot = slot_of(sequence);
  // Overwritten since: 1,024 later ones were begun.
  if (slot.words[kSequenceWord].load(std::memory_order_acquire) !=
      static_cast<std::uint64_t>(sequence)) {
    return;
  }
  slot.words[word].store(static_cast<std::uint64_t>(monotonic_nanoseconds()),
                         std::memory_order_release);
}

std::size_t MemoryFlightRecorder::read(std::span<Entry> out) const {
  // The sequence of the newest says where the ring begins. No memory is taken: a signal handler may
  // call this.
  std::int64_t newest = 0;
  for (std::size_t i = 0; i < kEntries; ++i) {
    const auto sequence =
        static_cast<std::int64_t>(slots_[i].words[kSequenceWord].load(std::memory_order_acquire));
    newest = std::max(newest, sequence);
  }
  std::size_t count = 0;
  const std::int64_t first = std::max<std::int64_t>(1, newest - std::int64_t{kEntries} + 1);
  for (std::int64_t sequence = first; sequence <= newest && count < out.size(); ++sequence) {
    const Slot& slot = slot_of(sequence);
    const std::uint64_t version = slot.version.load(std::memory_order_acquire);
    Words words;
    for (std::size_t i = 0; i < kWords; ++i) {
      words[i] = slot.words[i].load(std::memory_order_acquire);
    }
    const bool is_whole = version % 2 == 0 && version != 0 &&
                          slot.version.load(std::memory_order_relaxed) == version &&
                          words[kSequenceWord] == static_cast<std::uint64_t>(sequence);
    if (!is_whole) continue;
    std::memcpy(static_cast<void*>(&out[count]), words.data(), sizeof(Entry));
    ++count;
  }
  return count;
}

}  // namespace ovid::distributed
