#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "src/distributed/flight_recorder.h"

namespace ovid::distributed {

// A flight recorder in plain memory: its own, or some that processes share, where others may read
// what a rank that hangs or died did last. One thread begins; the same or another one starts and
// ends.
class MemoryFlightRecorder : public FlightRecorder {
 public:
  // Bytes of storage, and its alignment.
  static std::size_t storage_bytes();
  static constexpr std::size_t kStorageAlignment = 64;

  // In memory of its own.
  MemoryFlightRecorder();
  // In `storage`: storage_bytes() zeroed bytes, or what another recorder wrote there. It must
  // outlive this.
  explicit MemoryFlightRecorder(std::span<std::byte> storage);
  ~MemoryFlightRecorder() override;

  void begin(const CollectiveHeader& header) override;
  void start(std::int64_t sequence) override;
  void end(std::int64_t sequence) override;
  std::size_t read(std::span<Entry> out) const override;

 private:
  struct Slot;
  Slot& slot_of(std::int64_t sequence) const;
  void stamp(std::int64_t sequence, std::size_t word);

  std::unique_ptr<Slot[]> own_;
  Slot* slots_;
};

}  // namespace ovid::distributed
