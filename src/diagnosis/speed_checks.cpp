#include "src/diagnosis/speed_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/machine_peak.h"
#include "src/memory/execution.h"

namespace ovid::diagnosis {
namespace {

// The best of some products of GPT-2 124M's expanding linear layer over 1,024 tokens.
double measure_products(int threads) {
  constexpr std::int64_t kTokens = 1024, kIn = 768, kOut = 3072;
  constexpr int kMostRounds = 10;
  constexpr double kPatience = 1.0;  // seconds
  const std::vector<float> a(kTokens * kIn, 0.5f), b(kIn * kOut, 0.25f);
  std::vector<float> c(kTokens * kOut);
  const kernels::cpu::Gemm product{.m = kTokens,
                                   .n = kOut,
                                   .k = kIn,
                                   .a = a.data(),
                                   .lda = kIn,
                                   .b = b.data(),
                                   .ldb = kOut,
                                   .c = c.data(),
                                   .ldc = kOut};
  kernels::ScratchArena measuring;
  auto dry = kernels::ExecutionContext::dry_run(kernels::DeviceKind::kCpu, threads, measuring);
  kernels::cpu::gemm(dry, product);
  memory::Execution execution(nullptr, threads, measuring.high_water());
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  double best = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    const Clock::time_point start = Clock::now();
    kernels::cpu::gemm(execution.context(), product);
    const Clock::time_point end = Clock::now();
    const double seconds = std::chrono::duration<double>(end - start).count();
    best = std::max(best, 2.0 * kTokens * kIn * kOut / seconds);
    if (std::chrono::duration<double>(end - begin).count() > kPatience) break;
  }
  return best;
}

}  // namespace

SpeedFacts measure_speed(int threads) {
  const kernels::cpu::MachinePeak peak = kernels::cpu::measure_machine_peak(threads);
  const double products = measure_products(threads);
  // Once more after the products: other programs disturb one of the two less.
  const double again = kernels::cpu::measure_peak_flops(threads);
  const std::string set = kernels::cpu::instruction_set();
  return {.matrix_library = kernels::cpu::gemm_library(),
          .matrix_flops_per_second = products,
          .peak_flops_per_second = std::max(peak.flops_per_second, again),
          .bytes_per_second = peak.bytes_per_second,
          .portable = set == "SCALAR" || set == "EMU128"};
}

Findings check_speed(const SpeedFacts& speed) {
  const double share = speed.peak_flops_per_second > 0
                           ? speed.matrix_flops_per_second / speed.peak_flops_per_second
                           : 0;
  Finding products{"matrix products", Grade::kGood,
                   fmt::format("{:.0f} GFLOP/s by {}, {:.0f} % of the measured peak {:.0f}",
                               speed.matrix_flops_per_second / 1e9, speed.matrix_library,
                               share * 100, speed.peak_flops_per_second / 1e9),
                   ""};
  // Products cannot beat the peak; where they seem to, one of the two was not left alone.
  constexpr double kMostShare = 1.1;
  if (share > kMostShare) {
    products.grade = Grade::kDoubtful;
    products.cure = "measure again on a quiet machine: other programs took its cores meanwhile";
  } else if (share < 0.5) {
    products.grade = share < 0.05 ? Grade::kBad : Grade::kDoubtful;
    products.cure = "look at the environment and the load above; measure again on a quiet machine";
    // Our own product is written for AVX2 and AVX-512.
    if (speed.matrix_library == "builtin" && speed.portable) {
      products.cure =
          "install oneDNN (libdnnl-dev) or OpenBLAS (libopenblas-openmp-dev) and build again";
    }
  }
  Findings findings{products};
  if (speed.bytes_per_second > 0) {
    findings.push_back({"memory speed", Grade::kGood,
                        fmt::format("{:.0f} GB/s", speed.bytes_per_second / 1e9), ""});
  }
  return findings;
}

}  // namespace ovid::diagnosis
