#include "tests/ptx_emulator/machine/checks/access_counts.h"

#include <algorithm>
#include <array>
#include <bit>

namespace ptx_emulator::checks {

namespace {

constexpr std::uint64_t kSector = 32;
constexpr std::uint32_t kBanks = 32;

// The given lanes' addresses, ascending and distinct.
template <std::size_t N>
std::size_t sorted_addresses(std::uint32_t lanes, const std::uint64_t* addresses,
                             std::array<std::uint64_t, N>& out) {
  std::size_t count = 0;
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1)
    out[count++] = addresses[std::countr_zero(rest)];
  std::sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<std::size_t>(
      std::unique(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(count)) - out.begin());
}

}  // namespace

SectorCount count_sectors(std::uint32_t lanes, const std::uint64_t* addresses,
                          std::uint32_t bytes) {
  std::array<std::uint64_t, 32> sorted;
  const std::size_t count = sorted_addresses(lanes, addresses, sorted);
  SectorCount result;
  std::uint64_t distinct_bytes = 0, covered_to = 0, next_sector = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t begin = sorted[i], end = begin + bytes;
    distinct_bytes += end - std::min(end, std::max(begin, covered_to));
    covered_to = std::max(covered_to, end);
    const std::uint64_t first = std::max(begin / kSector, next_sector), last = (end - 1) / kSector;
    if (last >= first) result.sectors += static_cast<std::uint32_t>(last - first + 1);
    next_sector = std::max(next_sector, last + 1);
  }
  result.ideal = static_cast<std::uint32_t>((distinct_bytes + kSector - 1) / kSector);
  return result;
}

WavefrontCount count_wavefronts(std::uint32_t lanes, const std::uint64_t* addresses,
                                std::uint32_t bytes) {
  WavefrontCount result;
  const std::uint32_t words = std::max(1U, bytes / 4);  // of a lane
  const std::uint32_t group = std::max(1U, 32 / words);
  for (std::uint32_t begin = 0; begin < 32; begin += group) {
    const std::uint32_t group_lanes = lanes & ((group == 32 ? ~0U : (1U << group) - 1) << begin);
    if (group_lanes == 0) continue;
    std::array<std::uint64_t, 128> touched;
    std::size_t count = 0;
    for (std::uint32_t rest = group_lanes; rest != 0; rest &= rest - 1) {
      const std::uint64_t word = addresses[std::countr_zero(rest)] / 4;
      for (std::uint32_t i = 0; i < words && count < touched.size(); ++i)
        touched[count++] = word + i;
    }
    std::sort(touched.begin(), touched.begin() + static_cast<std::ptrdiff_t>(count));
    const auto end =
        std::unique(touched.begin(), touched.begin() + static_cast<std::ptrdiff_t>(count));
    std::array<std::uint32_t, kBanks> in_bank{};
    std::uint32_t most = 0;
    for (auto word = touched.begin(); word != end; ++word)
      most = std::max(most, ++in_bank[*word % kBanks]);
    result.wavefronts += most;
    result.ideal +=
        std::max(1U, (static_cast<std::uint32_t>(end - touched.begin()) + kBanks - 1) / kBanks);
  }
  return result;
}

void SectorSet::add(std::uint64_t address, std::uint64_t bytes) {
  if (bytes == 0) return;
  const std::uint64_t last = (address + bytes - 1) / kSectorBytes;
  for (std::uint64_t sector = address / kSectorBytes; sector <= last; ++sector) {
    groups_[sector / 64] |= std::uint64_t{1} << (sector % 64);
  }
}

void SectorSet::join(const SectorSet& other) {
  for (const auto& [group, bits] : other.groups_) groups_[group] |= bits;
}

std::uint64_t SectorSet::bytes() const {
  std::uint64_t sectors = 0;
  for (const auto& entry : groups_)
    sectors += static_cast<std::uint64_t>(std::popcount(entry.second));
  return sectors * kSectorBytes;
}

}  // namespace ptx_emulator::checks
