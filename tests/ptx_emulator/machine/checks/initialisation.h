#pragma once
// Which bytes of memory nothing has written yet.

#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace ptx_emulator::checks {

// Device memory. Ranges never named are taken as written. May be called from several threads.
class UninitialisedBytes {
 public:
  void mark_fresh(std::uint64_t address, std::uint64_t bytes);
  void mark_written(std::uint64_t address, std::uint64_t bytes);
  // The first byte of the range that was never written.
  std::optional<std::uint64_t> first_fresh(std::uint64_t address, std::uint64_t bytes) const;

 private:
  static constexpr std::uint64_t kPageBytes = 4096;
  using Page = std::bitset<kPageBytes>;  // set: never written

  void clear_whole_pages(std::uint64_t begin, std::uint64_t end);

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t>
      fresh_pages_;  // begin to end of ranges of pages that are wholly fresh
  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> mixed_pages_;
};

// The shared memory of one block.
class UninitialisedShared {
 public:
  explicit UninitialisedShared(std::uint32_t bytes) : fresh_(bytes, true) {}
  void mark_written(std::uint32_t offset, std::uint32_t bytes);
  std::optional<std::uint32_t> first_fresh(std::uint32_t offset, std::uint32_t bytes) const;

 private:
  std::vector<bool> fresh_;
};

}  // namespace ptx_emulator::checks
