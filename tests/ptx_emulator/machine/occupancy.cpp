#include "tests/ptx_emulator/machine/occupancy.h"

#include <algorithm>

namespace ptx_emulator {

DeviceLimits device_limits(std::uint32_t architecture) {
  if (architecture >= 90) return {132, {.shared_bytes = 228 * 1024U}};
  return {108, {.shared_bytes = 164 * 1024U}};
}

std::uint32_t registers_estimate(const Code& code) {
  // The compiler keeps to what the largest block allows: 65,536 registers, handed out to warps by
  // 256.
  const ptx::LaunchBounds& bounds = code.function->bounds;
  std::uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    threads *= std::max({std::uint64_t{1}, std::uint64_t{bounds.max_threads[i]},
                         std::uint64_t{bounds.required_threads[i]}});
  }
  threads = std::clamp<std::uint64_t>((threads + 31) / 32 * 32, 32, 1024);
  const std::uint64_t blocks = std::max<std::uint64_t>(1, bounds.min_blocks);
  const std::uint64_t most = std::max<std::uint64_t>(16, 65536 / (threads * blocks) / 8 * 8);
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(code.num_registers + 8, 16, std::min<std::uint64_t>(255, most)));
}

std::uint64_t resident_blocks(const Multiprocessor& limits, const Code& code, std::uint64_t threads,
                              std::uint64_t shared_bytes) {
  const std::uint64_t warps = (threads + 31) / 32;
  if (warps == 0 || warps * 32 > limits.threads) return 0;
  // An estimate of registers must not refuse a block that the compiler would have made room for.
  const std::uint64_t fitting = limits.registers / (warps * 32) / 8 * 8;
  const std::uint64_t registers = std::min<std::uint64_t>(registers_estimate(code), fitting);
  const std::uint64_t warp_registers = (registers * 32 + 255) / 256 * 256;
  const std::uint64_t shared = (shared_bytes + limits.reserved_shared_bytes + 127) / 128 * 128;
  return std::min({limits.blocks, limits.threads / 32 / warps,
                   limits.registers / (warp_registers * warps), limits.shared_bytes / shared});
}

}  // namespace ptx_emulator
