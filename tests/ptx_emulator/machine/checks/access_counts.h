#pragma once
// Sectors and bank passes of one warp-wide access.

#include <cstdint>
#include <unordered_map>

namespace ptx_emulator::checks {

struct SectorCount {
  std::uint32_t sectors = 0;  // distinct 32-byte sectors
  std::uint32_t ideal = 0;    // those that the distinct bytes would fill side by side
};
// addresses: 32, of which those of `lanes` count; bytes: a lane.
SectorCount count_sectors(std::uint32_t lanes, const std::uint64_t* addresses, std::uint32_t bytes);

struct WavefrontCount {
  std::uint32_t wavefronts = 0;
  std::uint32_t ideal = 0;
};
// Accesses of up to 4 bytes go in one pass of 32 lanes, of 8 bytes in two of 16, of 16 bytes in
// four of 8, each of as many wavefronts as one bank has distinct words.
WavefrontCount count_wavefronts(std::uint32_t lanes, const std::uint64_t* addresses,
                                std::uint32_t bytes);

// Distinct sectors over a whole launch.
class SectorSet {
 public:
  void add(std::uint64_t address, std::uint64_t bytes);
  void join(const SectorSet& other);
  std::uint64_t bytes() const;

 private:
  static constexpr std::uint64_t kSectorBytes = 32;
  std::unordered_map<std::uint64_t, std::uint64_t> groups_;  // 64 sectors to a word
};

}  // namespace ptx_emulator::checks
