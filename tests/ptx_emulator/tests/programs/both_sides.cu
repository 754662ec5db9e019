// Functions compiled for the host and for the device from one source, over operands that reach
// every special value: the bits must be equal. Compiled without contraction of products and sums,
// which the host has not either.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <cstring>

#include "check.cuh"

template <typename To, typename From>
__host__ __device__ To bits(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// NaN has many patterns; all of them are one answer.
__host__ __device__ std::uint64_t canonical(float value) {
  return value != value ? 0x7FFFFFFFU : bits<std::uint32_t>(value);
}
__host__ __device__ std::uint64_t canonical(double value) {
  return value != value ? ~0ULL : bits<std::uint64_t>(value);
}

constexpr int kFunctions = 24;

__host__ __device__ std::uint64_t evaluate(int function, std::uint64_t a, std::uint64_t b,
                                           std::uint64_t c) {
  const auto ai = static_cast<std::uint32_t>(a), bi = static_cast<std::uint32_t>(b),
             ci = static_cast<std::uint32_t>(c);
  const auto as = static_cast<std::int32_t>(ai), bs = static_cast<std::int32_t>(bi);
  const auto al = static_cast<std::int64_t>(a), bl = static_cast<std::int64_t>(b);
  const float x = bits<float>(ai), y = bits<float>(bi), z = bits<float>(ci);
  const double u = bits<double>(a), v = bits<double>(b), w = bits<double>(c);
  switch (function) {
    case 0:
      return (ai + bi * 3U) ^ (ci >> (bi % 32)) ^ (ai << (ci % 32));
    case 1:
      return bi == 0 ? ai : ai / bi + ai % bi;
    case 2:
      return bs == 0 || bs == -1
                 ? ai
                 : static_cast<std::uint32_t>(as / bs) ^ static_cast<std::uint32_t>(as % bs);
    case 3:
      return b == 0 ? a : a / b ^ a % b;
    case 4:
      return bl == 0 || bl == -1
                 ? a
                 : static_cast<std::uint64_t>(al / bl) ^ static_cast<std::uint64_t>(al % bl);
    case 5:
      return static_cast<std::uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64) + a * b;
    case 6:
      return static_cast<std::uint64_t>(al >> (b % 64)) ^ (a >> (c % 64)) ^ (a << (b % 64));
    case 7: {
      std::uint64_t sum = 0;
      for (std::uint32_t i = 0; i < (ai & 63) + 1; ++i)
        sum = sum * 31 + ((b >> (i & 31)) & 0xFF) * (i % 2 ? c : 7);
      return sum;
    }
    case 8:
      return canonical(x + y) ^ canonical(x * z) << 32;
    case 9:
      return canonical(x / y);
    case 10:
      return canonical(sqrtf(x));
    case 11:
      return canonical(fmaf(x, y, z));
    case 12:
      return canonical(u + v) ^ canonical(v * w);
    case 13:
      return canonical(u / v);
    case 14:
      return canonical(fma(u, v, w));
    case 15:
      return canonical(sqrt(u));
    case 16:
      return canonical(static_cast<float>(u)) ^ canonical(static_cast<double>(x));
    case 17:
      return canonical(floorf(x)) ^ canonical(ceilf(y)) << 8 ^ canonical(truncf(z)) << 16 ^
             canonical(rintf(x)) << 24;
    case 18:  // the host's leave the sign of zero open, and pass signalling NaN on
      return x != x || y != y || z != z
                 ? 0
                 : canonical(fminf(x, y) + 0.0F) ^ canonical(fmaxf(y, z) + 0.0F) << 20;
    case 19:
      return canonical(static_cast<float>(as)) ^ canonical(static_cast<float>(ai)) << 7 ^
             canonical(static_cast<double>(al));
    case 20:
      return x > -2e9F && x < 2e9F ? static_cast<std::uint32_t>(static_cast<std::int32_t>(x)) : 1U;
    case 21: {
      const __half h = __float2half_rn(x);
      return canonical(__half2float(h)) ^ canonical(__half2float(__float2half_rz(y))) << 32;
    }
    case 22: {
      const __nv_bfloat16 h = __float2bfloat16_rn(x);
      return canonical(__bfloat162float(h)) ^ canonical(__bfloat162float(__float2bfloat16_rz(y)))
                                                  << 32;
    }
    case 23: {
      const __nv_fp8_e4m3 e4(x);
      const __nv_fp8_e5m2 e5(y);
      return canonical(static_cast<float>(e4)) ^ canonical(static_cast<float>(e5)) << 32;
    }
  }
  return 0;
}

__global__ void on_device(const std::uint64_t* a, const std::uint64_t* b, const std::uint64_t* c,
                          std::uint64_t* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  for (int function = 0; function < kFunctions; ++function)
    out[function * n + i] = evaluate(function, a[i], b[i], c[i]);
}

// Plain numbers, patterns of any kind, and those that stand at the edges of the formats.
std::uint64_t operand(std::uint64_t& state) {
  const auto next = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  };
  const std::uint64_t pattern = next();
  static const std::uint32_t edges[] = {
      0,           0x80000000U, 1,           0x007FFFFFU, 0x00800000U, 0x3F800000U,
      0x7F7FFFFFU, 0x7F800000U, 0xFF800000U, 0x7FC00000U, 0xFFFFFFFFU, 0x477FE000U,
      0x33000000U, 0x38800000U, 0x43E00000U, 0x4F000000U, 0xCF000000U, 0x7FFFFFFFU};
  const std::uint32_t edge = edges[next() % (sizeof edges / sizeof *edges)];
  switch (next() % 4) {
    case 0:
      return pattern;
    case 1:
      return (pattern & 0xFFFFFFFF00000000ULL) | edge;
    case 2:
      return static_cast<std::uint64_t>(edge) << 32 | (pattern % 3);
    default: {  // a float of moderate size, and a double of moderate size above it
      const float value = noise(static_cast<unsigned>(pattern)) * 1000.0F;
      const auto high = bits<std::uint64_t>(static_cast<double>(value)) & 0xFFFFFFFF00000000ULL;
      return high | bits<std::uint32_t>(value);
    }
  }
}

int main() {
  const int n = 20000;
  std::vector<std::uint64_t> a(n), b(n), c(n);
  std::uint64_t state = 20261122;
  for (int i = 0; i < n; ++i) {
    a[i] = operand(state);
    b[i] = operand(state);
    c[i] = operand(state);
  }
  DeviceArray<std::uint64_t> d_a(a), d_b(b), d_c(c), out(static_cast<std::size_t>(n) * kFunctions);
  on_device<<<(n + 127) / 128, 128>>>(d_a.data, d_b.data, d_c.data, out.data, n);
  CHECK(cudaGetLastError());
  const auto got = out.host();
  int wrong = 0;
  for (int function = 0; function < kFunctions; ++function) {
    for (int i = 0; i < n; ++i) {
      const std::uint64_t expected = evaluate(function, a[i], b[i], c[i]);
      if (got[static_cast<std::size_t>(function) * n + i] == expected) continue;
      if (++wrong <= 20) {
        std::printf(
            "function %d of %016llx %016llx %016llx: device %016llx, host %016llx\n", function,
            static_cast<unsigned long long>(a[i]), static_cast<unsigned long long>(b[i]),
            static_cast<unsigned long long>(c[i]),
            static_cast<unsigned long long>(got[static_cast<std::size_t>(function) * n + i]),
            static_cast<unsigned long long>(expected));
      }
    }
  }
  std::printf("both sides: %d of %d results differ\n", wrong, n * kFunctions);
  return wrong == 0 ? 0 : 1;
}
