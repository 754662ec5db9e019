#include "src/diagnosis/memory_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "src/memory/arena.h"
#include "src/memory/machine_memory.h"
#include "src/memory/system_text.h"

namespace ovid::diagnosis {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20, kGiB = 1ull << 30;

using memory::readable_bytes;

std::optional<std::uint64_t> kib_of(const std::string& meminfo, const char* key) {
  const auto kib = memory::number_after(meminfo, key);
  if (!kib || *kib > UINT64_MAX / 1024) return std::nullopt;
  return *kib * 1024;
}

}  // namespace

Finding check_memory(const SystemView& system) {
  const auto memory = memory::machine_memory(system.root);
  if (!memory) return {"memory", Grade::kGood, "unknown: no /proc/meminfo", ""};
  const std::uint64_t available = memory->available,
                      limit = memory->group_limit.value_or(UINT64_MAX);
  Finding finding{"memory", Grade::kGood,
                  fmt::format("{} available of {}", readable_bytes(available),
                              readable_bytes(std::min(memory->total, limit))),
                  ""};
  if (limit < memory->total)
    finding.value += fmt::format(" (the control group's limit; the machine has {})",
                                 readable_bytes(memory->total));
  if (available < 512 * kMiB) {
    finding.grade = Grade::kBad;
    finding.cure = "free some memory: the smallest runs need half a GiB";
  } else if (available < 6 * kGiB) {
    // Weights, gradients and moments of 124M parameters take 2 GiB, activations of a small batch as
    // much again, an asynchronous checkpoint's copy 1.4 GiB.
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "GPT-2 124M wants about 6 GiB: take a smaller model or batch.micro_sequences; "
        "`ovid plan CONFIG` tells what a run needs";
  }
  return finding;
}

Finding check_swap(const SystemView& system) {
  const std::string meminfo = text_of(system, "proc/meminfo");
  const auto total = kib_of(meminfo, "SwapTotal:"), free = kib_of(meminfo, "SwapFree:");
  if (!total || !free || *total == 0) return {"swap", Grade::kGood, "none", ""};
  const std::uint64_t used = *total > *free ? *total - *free : 0;
  Finding finding{"swap", Grade::kGood,
                  fmt::format("{} used of {}", readable_bytes(used), readable_bytes(*total)), ""};
  if (used > *total / 10) {
    finding.grade = Grade::kDoubtful;
    finding.cure = "memory was short: end other programs; a run whose memory is swapped crawls";
  }
  return finding;
}

Finding check_huge_pages(const SystemView& system) {
  const std::string text = text_of(system, "sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = text.find('['), close = text.find(']');
  Finding finding{"large pages", Grade::kGood, "", ""};
  if (open == std::string::npos || close == std::string::npos || close < open) {
    finding.value = "unknown: the kernel does not say";
    return finding;
  }
  finding.value = "transparent huge pages: " + text.substr(open + 1, close - open - 1);
  if (text.substr(open, close - open + 1) == "[never]") {
    finding.grade = Grade::kDoubtful;
    finding.cure =
        "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root): large "
        "arrays then need fewer address translations";
  }
  return finding;
}

}  // namespace ovid::diagnosis
