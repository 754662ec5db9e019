#pragma once

#include <array>
#include <cstdint>

#ifdef __CUDACC__
#define OVID_HOST_DEVICE __host__ __device__
#else
#define OVID_HOST_DEVICE
#endif

namespace ovid::kernels {

using Philox4x32 = std::array<std::uint32_t, 4>;

// The upper half of a product; on the device by the instruction for it, as a product of 64 bits
// takes three times as many.
OVID_HOST_DEVICE inline std::uint32_t upper_half_of_product(std::uint32_t a, std::uint32_t b) {
#ifdef __CUDA_ARCH__
  return __umulhi(a, b);
#else
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
#endif
}

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): 128 random
// bits that are a pure function of a 64-bit key and a 128-bit counter. The same on every device, in
// any order, on any number of threads.
OVID_HOST_DEVICE inline Philox4x32 philox4x32(std::uint64_t key, std::uint64_t counter_high,
                                              std::uint64_t counter_low) {
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
  std::uint32_t c0 = static_cast<std::uint32_t>(counter_low);
  std::uint32_t c1 = static_cast<std::uint32_t>(counter_low >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(counter_high);
  std::uint32_t c3 = static_cast<std::uint32_t>(counter_high >> 32);
  for (int round = 0; round < 10; ++round) {
    constexpr std::uint32_t kFactor0 = 0xD2511F53u, kFactor1 = 0xCD9E8D57u;
    const std::uint32_t n0 = upper_half_of_product(kFactor1, c2) ^ c1 ^ k0;
    const std::uint32_t n2 = upper_half_of_product(kFactor0, c0) ^ c3 ^ k1;
    c1 = kFactor1 * c2;
    c3 = kFactor0 * c0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

// What a random number is for. The upper half of a counter, so that no two uses ever share a
// number.
enum class RandomUse : std::uint8_t { kInitialisation, kDropout, kSampling, kShuffle, kRounding };

// Names one stream of random numbers: the run's seed, the use, and two numbers that the use defines
// (dropout: optimizer step x micro-batch and the site in the model; sampling: the sequence).
// Numbers within it are indexed by a 64-bit counter.
struct RandomStream {
  std::uint64_t seed = 0;
  RandomUse use = RandomUse::kDropout;
  std::uint64_t major = 0;  // below 2^32
  std::uint32_t minor = 0;  // below 2^24

  OVID_HOST_DEVICE std::uint64_t counter_high() const {
    return (static_cast<std::uint64_t>(use) << 56) |
           (static_cast<std::uint64_t>(minor & 0xFFFFFFu) << 32) | (major & 0xFFFFFFFFull);
  }
};

// Four random words at `index` of the stream.
OVID_HOST_DEVICE inline Philox4x32 random_words(const RandomStream& stream, std::uint64_t index) {
  return philox4x32(stream.seed, stream.counter_high(), index);
}

// Uniform in [0, 1) with 24 bits.
OVID_HOST_DEVICE inline float uniform_float(std::uint32_t word) {
  return static_cast<float>(word >> 8) * 0x1p-24f;
}

// Uniform in [0, 1) with 53 bits, from two words.
OVID_HOST_DEVICE inline double uniform_double(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 21) ^ (low >> 11);
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace ovid::kernels
