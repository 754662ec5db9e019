#include "kernels/cpu/machine_peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "kernels/common/errors.h"
#include "kernels/cpu/parallel_for.h"
#include "kernels/cpu/simd.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/machine_peak.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ovid::kernels::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

// Enough independent chains for two units with a latency of five cycles, and few enough for 16
// registers.
constexpr std::size_t kChains = 12;

// Each chain tends to 1 and stays a normal number. Returns the operations done.
double multiply_add_chains(std::int64_t iterations, float* result) {
  const Tag d;
  const Vector factor = hn::Set(d, 0.5f), addend = hn::Set(d, 0.5f);
  Vector chains[kChains];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kChains; ++i) chains[i] = hn::Set(d, static_cast<float>(i + 2));
  for (std::int64_t iteration = 0; iteration < iterations; ++iteration) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kChains; ++i) chains[i] = hn::MulAdd(chains[i], factor, addend);
  }
  Vector sum = chains[0];
  for (std::size_t i = 1; i < kChains; ++i) sum = hn::Add(sum, chains[i]);
  *result = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * static_cast<double>(kChains * hn::Lanes(d)) * static_cast<double>(iterations);
}

// The three ways through memory; count is a multiple of 64, addresses are those of vectors.
void read_memory(const float* from, std::int64_t count, float* result) {
  const Tag d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  Vector sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (std::int64_t i = 0; i < count; i += 4 * lanes) {
#pragma GCC unroll 4
    for (std::int64_t j = 0; j < 4; ++j)
      sums[j] = hn::Add(sums[j], hn::Load(d, from + i + j * lanes));
  }
  *result =
      hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]))));
}

// Ones stay ones: rounds without end must not reach numbers that a processor is slow with.
void update_memory(float* at, std::int64_t count) {
  const Tag d;
  const Vector factor = hn::Set(d, 0.5f);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += lanes)
    hn::Store(hn::MulAdd(hn::Load(d, at + i), factor, factor), d, at + i);
}

void stream_triad(const float* a, const float* b, float* to, std::int64_t count) {
  const Tag d;
  const Vector factor = hn::Set(d, 0.5f);
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += lanes)
    hn::Stream(hn::MulAdd(hn::Load(d, a + i), factor, hn::Load(d, b + i)), d, to + i);
  hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace ovid::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <sys/mman.h>

namespace ovid::kernels::cpu {

HWY_EXPORT(multiply_add_chains);
HWY_EXPORT(read_memory);
HWY_EXPORT(update_memory);
HWY_EXPORT(stream_triad);

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Where results go that nobody needs, so that the compiler cannot leave out what makes them.
std::atomic<float> sink = 0.0f;

// Operations or bytes a second: the best round of `round(thread)` on all threads within `seconds`,
// at least three rounds. A round returns its amount.
template <class Round>
double best_rate(int threads, double seconds, const Round& round) {
  double best = 0.0;
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < 3 || seconds_since(start) < seconds; ++i) {
    const std::unique_ptr<double[]> amounts(new double[static_cast<std::size_t>(threads)]());
    const Clock::time_point begin = Clock::now();
    parallel_for(threads, threads, 1, [&](std::int64_t first, std::int64_t end) {
      for (std::int64_t thread = first; thread < end; ++thread)
        amounts[static_cast<std::size_t>(thread)] = round(thread);
    });
    const double taken = std::max(seconds_since(begin), 1e-9);
    double amount = 0.0;
    for (int thread = 0; thread < threads; ++thread)
      amount += amounts[static_cast<std::size_t>(thread)];
    best = std::max(best, amount / taken);
  }
  return best;
}

double measure_flops(int threads, double seconds) {
  constexpr std::int64_t kIterations = 1 << 17;  // half a millisecond
  return best_rate(threads, seconds, [&](std::int64_t) {
    float result = 0.0f;
    const double flops = HWY_DYNAMIC_DISPATCH(multiply_add_chains)(kIterations, &result);
    sink.store(result, std::memory_order_relaxed);
    return flops;
  });
}

// Memory of its own, in large pages where there are some; empty where it cannot be had.
class Mapping {
 public:
  explicit Mapping(std::size_t bytes) : bytes_(bytes) {
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return;
    ::madvise(at, bytes, MADV_HUGEPAGE);
    data_ = static_cast<float*>(at);
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  float* data() const { return data_; }
  std::int64_t count() const { return static_cast<std::int64_t>(bytes_ / sizeof(float)); }

 private:
  std::size_t bytes_;
  float* data_ = nullptr;
};

double measure_bytes(int threads, double seconds, const Mapping& memory) {
  // Each thread has its own part, of three arrays where three are asked for.
  constexpr std::int64_t kGranule = 1024;
  const std::int64_t third = memory.count() / threads / 3 / kGranule * kGranule, part = 3 * third;
  if (third == 0) return 0.0;
  const double bytes = static_cast<double>(part) * sizeof(float);
  const auto part_of = [&](std::int64_t thread) { return memory.data() + thread * part; };
  parallel_for(threads, threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) std::fill_n(part_of(i), part, 1.0f);
  });
  const double read = best_rate(threads, seconds / 3, [&](std::int64_t thread) {
    float result = 0.0f;
    HWY_DYNAMIC_DISPATCH(read_memory)(part_of(thread), part, &result);
    sink.store(result, std::memory_order_relaxed);
    return bytes;
  });
  const double updated = best_rate(threads, seconds / 3, [&](std::int64_t thread) {
    HWY_DYNAMIC_DISPATCH(update_memory)(part_of(thread), part);
    return 2 * bytes;
  });
  const double streamed = best_rate(threads, seconds / 3, [&](std::int64_t thread) {
    float* at = part_of(thread);
    HWY_DYNAMIC_DISPATCH(stream_triad)(at, at + third, at + 2 * third, third);
    return bytes;
  });
  return std::max({read, updated, streamed});
}

void check_request(int threads, double seconds) {
  if (threads >= 1 && seconds > 0.0) return;
  throw DeviceError("machine peak: threads = " + std::to_string(threads) +
                    ", seconds = " + std::to_string(seconds) + "; both must be above 0");
}

}  // namespace

double measure_peak_flops(int threads, double seconds) {
  check_request(threads, seconds);
  return measure_flops(threads, seconds);
}

MachinePeak measure_machine_peak(int threads, double seconds) {
  check_request(threads, seconds);
  constexpr std::size_t kMostBytes = std::size_t{256} << 20, kLeastBytes = std::size_t{16} << 20;
  MachinePeak peak{.flops_per_second = measure_flops(threads, seconds / 2)};
  for (std::size_t size = kMostBytes; size >= kLeastBytes; size /= 2) {
    const Mapping memory(size);
    if (memory.data() == nullptr) continue;
    peak.bytes_per_second = measure_bytes(threads, seconds / 2, memory);
    break;
  }
  return peak;
}

}  // namespace ovid::kernels::cpu
#endif
