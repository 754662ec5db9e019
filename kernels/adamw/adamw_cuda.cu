#include <algorithm>
#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_rounding.h"
#include "kernels/cuda/approximate.cuh"
#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/numeric.cuh"
#include "kernels/cuda/vector_access.cuh"

// Tensors of n elements each, cut into quads of four, which move as 16 bytes, and 8 of a 16-bit
// type. Quads are counted in the stream of random bits where there is rounding, else by address, so
// that a tensor's element 0 may be in the middle of one; quads that are partly outside of the
// tensor, or not aligned, go element by element. A block owns kBlockElements of one tensor, which
// it finds in the table of tensors by the number of its first block; thread t owns quads t,
// t + kThreads, ... of them, two of which share a draw. Of each it loads weight, gradient and both
// moments, computes, and stores all but the gradient. Moments in bfloat16 move as 8 bytes a quad,
// and each quad has a draw of its own to round them.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = kDrawDistance;
constexpr int kPairs = 2;  // of quads that share a draw, each thread's
constexpr int kPairElements = kDrawGroup;
constexpr int kBlockElements = kPairs * kPairElements;

struct Entry {
  float* weight;
  const void* gradient;
  void* first_moment;
  void* second_moment;
  std::uint16_t* rounded;  // null: none
  std::int64_t count;
  std::uint64_t first_draw;   // of the stream; the first quad is twice that
  float keep;                 // 1 - learning_rate * weight_decay
  std::uint32_t first_block;  // of the launch
  std::uint16_t offset;       // of element 0, from the first quad on
  bool aligned;               // whole quads move as one
  DType gradient_dtype;
  DType rounded_dtype;
};

struct Settings {
  const float* gradient_scale_on_device;  // or null
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t moment_seed;
  std::uint64_t moment_stream;
  float gradient_scale;
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;
  float descent;       // -learning_rate / (1 - beta1^step)
  float inverse_root;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
  bool rounds_randomly;
};

// What a launch may pass since CUDA 12.1; before, 4 KB.
constexpr std::size_t kParameterBytes = CUDART_VERSION >= 12010 ? 32764 : 4096;
constexpr std::size_t kTableSize = (kParameterBytes - sizeof(Settings) - 8) / sizeof(Entry);

// All of a launch, in its parameters: nothing has to be copied to the device beforehand, and a
// recorded launch keeps it.
struct Table {
  Settings settings;
  std::int32_t entries;
  Entry entry[kTableSize];
};
static_assert(sizeof(Table) <= kParameterBytes);

// The last entry whose first block is not behind `block`.
__device__ __forceinline__ const Entry& entry_of(const Table& table, std::uint32_t block) {
  int first = 0, end = table.entries;
  while (end - first > 1) {
    const int middle = (first + end) / 2;
    (table.entry[middle].first_block <= block ? first : end) = middle;
  }
  return table.entry[first];
}

__device__ __forceinline__ float4 load4(const float* from) {
  return __ldcs(reinterpret_cast<const float4*>(from));
}
__device__ __forceinline__ void store4(float* to, const float4& four) {
  __stcs(reinterpret_cast<float4*>(to), four);
}

__device__ __forceinline__ void store_bits4(void* to, std::int64_t at, const uint2& bits) {
  __stcs(reinterpret_cast<uint2*>(static_cast<std::uint16_t*>(to) + at), bits);
}

__device__ __forceinline__ float from_bits(std::uint32_t bits, DType dtype) {
  if (dtype == DType::kBfloat16) return __uint_as_float(bits << 16);
  return __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
}

__device__ __forceinline__ uint2 load_bits4(const void* from, std::int64_t at) {
  return __ldcs(reinterpret_cast<const uint2*>(static_cast<const std::uint16_t*>(from) + at));
}
__device__ __forceinline__ float4 widen_bfloat16(const uint2& two) {
  return make_float4(__uint_as_float(two.x << 16), __uint_as_float(two.x & 0xFFFF0000u),
                     __uint_as_float(two.y << 16), __uint_as_float(two.y & 0xFFFF0000u));
}

__device__ __forceinline__ float4 load_gradient4(const Entry& e, std::int64_t at) {
  if (e.gradient_dtype == DType::kFloat32) return load4(static_cast<const float*>(e.gradient) + at);
  const uint2 two = load_bits4(e.gradient, at);
  if (e.gradient_dtype == DType::kBfloat16) return widen_bfloat16(two);
  return make_float4(
      from_bits(two.x & 0xFFFFu, DType::kFloat16), from_bits(two.x >> 16, DType::kFloat16),
      from_bits(two.y & 0xFFFFu, DType::kFloat16), from_bits(two.y >> 16, DType::kFloat16));
}
__device__ __forceinline__ float load_gradient(const Entry& e, std::int64_t at) {
  if (e.gradient_dtype == DType::kFloat32) return static_cast<const float*>(e.gradient)[at];
  return from_bits(static_cast<const std::uint16_t*>(e.gradient)[at], e.gradient_dtype);
}

// Both moments of a quad, in float32.
struct Moments4 {
  float4 first, second;
};

template <bool kRoundsMoments>
__device__ __forceinline__ Moments4 load_moments4(const Entry& e, std::int64_t at) {
  if constexpr (kRoundsMoments) {
    return {widen_bfloat16(load_bits4(e.first_moment, at)),
            widen_bfloat16(load_bits4(e.second_moment, at))};
  } else {
    return {load4(static_cast<const float*>(e.first_moment) + at),
            load4(static_cast<const float*>(e.second_moment) + at)};
  }
}

// The order of operations is the CPU's. Root and quotient err by up to 3 units in the last place
// together, of an update that is a small part of the weight.
__device__ __forceinline__ void update(const Settings& s, float scale, float keep, float gradient,
                                       float& w, float& m, float& v) {
  const float g = gradient * scale;
  m = fmaf(s.one_minus_beta1, g - m, m);
  v = fmaf(g * g, s.one_minus_beta2, v * s.beta2);
  const float denominator = fmaf(square_root_approximate(v), s.inverse_root, s.epsilon);
  w = fmaf(w, keep, __fdividef(s.descent * m, denominator));
}

// Four weights, each rounded by round(weight, number in the quad), as they lie in memory.
template <class Round>
__device__ __forceinline__ uint2 rounded4(const float4& w, Round round) {
  const std::uint32_t x = round(w.x, 0), y = round(w.y, 1), z = round(w.z, 2), last = round(w.w, 3);
  return make_uint2(x | y << 16, z | last << 16);
}

__device__ __forceinline__ uint2 round_quad(const Settings& s, DType dtype, const float4& w,
                                            const Philox4x32& words, bool upper_half) {
  if (dtype == DType::kBfloat16) {
    if (!s.rounds_randomly) {
      return make_uint2(pair_from_floats<__nv_bfloat16>(w.x, w.y),
                        pair_from_floats<__nv_bfloat16>(w.z, w.w));
    }
    return rounded4(w, [&](float x, int i) {
      return round_to_bfloat16_by(rounding_bits(words[i], upper_half), x);
    });
  }
  if (!s.rounds_randomly) {
    return make_uint2(pair_from_floats<__half>(w.x, w.y), pair_from_floats<__half>(w.z, w.w));
  }
  return rounded4(w, [&](float x, int i) {
    return round_to_float16_by(rounding_bits(words[i], upper_half), x);
  });
}

__device__ __forceinline__ std::uint16_t round_one(const Settings& s, DType dtype, float w,
                                                   std::uint32_t bits) {
  if (dtype == DType::kBfloat16) {
    return s.rounds_randomly ? round_to_bfloat16_by(bits, w)
                             : __bfloat16_as_ushort(__float2bfloat16_rn(w));
  }
  return s.rounds_randomly ? round_to_float16_by(bits, w) : __half_as_ushort(__float2half_rn(w));
}

// What one thread needs for all of its quads: copies, which stay in registers where the parameters
// would be read again after each store.
template <bool kRoundsMoments>
struct Work {
  Settings settings;
  Entry entry;
  float scale;

  // `quad` counts from the entry's first one, as `words` do not: those of its moments are its own.
  __device__ __forceinline__ Philox4x32 moment_words(std::int64_t quad) const {
    return philox4x32(settings.moment_seed, settings.moment_stream,
                      2 * entry.first_draw + static_cast<std::uint64_t>(quad));
  }

  __device__ __forceinline__ void store_moments4(std::int64_t at, std::int64_t quad,
                                                 const float4& m, const float4& v) const {
    if constexpr (kRoundsMoments) {
      const Philox4x32 words = moment_words(quad);
      store_bits4(entry.first_moment, at,
                  rounded4(m, [&](float x, int i) { return round_first_moment(words[i], x); }));
      store_bits4(entry.second_moment, at,
                  rounded4(v, [&](float x, int i) { return round_second_moment(words[i], x); }));
    } else {
      store4(static_cast<float*>(entry.first_moment) + at, m);
      store4(static_cast<float*>(entry.second_moment) + at, v);
    }
  }

  __device__ __forceinline__ void whole_quad(std::int64_t at, std::int64_t quad,
                                             const Philox4x32& words, bool upper_half) const {
    float4 w = load4(entry.weight + at);
    const float4 g = load_gradient4(entry, at);
    auto [m, v] = load_moments4<kRoundsMoments>(entry, at);
    update(settings, scale, entry.keep, g.x, w.x, m.x, v.x);
    update(settings, scale, entry.keep, g.y, w.y, m.y, v.y);
    update(settings, scale, entry.keep, g.z, w.z, m.z, v.z);
    update(settings, scale, entry.keep, g.w, w.w, m.w, v.w);
    store4(entry.weight + at, w);
    store_moments4(at, quad, m, v);
    if (entry.rounded == nullptr) return;
    store_words(entry.rounded + at,
                round_quad(settings, entry.rounded_dtype, w, words, upper_half));
  }

  // One element, by its words of the quad's.
  __device__ __forceinline__ void one(std::int64_t at, std::uint32_t word, bool upper_half,
                                      std::uint32_t moment_word) const {
    if (at < 0 || at >= entry.count) return;
    float w = entry.weight[at], m, v;
    if constexpr (kRoundsMoments) {
      m = from_bits(static_cast<const std::uint16_t*>(entry.first_moment)[at], DType::kBfloat16);
      v = from_bits(static_cast<const std::uint16_t*>(entry.second_moment)[at], DType::kBfloat16);
    } else {
      m = static_cast<const float*>(entry.first_moment)[at];
      v = static_cast<const float*>(entry.second_moment)[at];
    }
    update(settings, scale, entry.keep, load_gradient(entry, at), w, m, v);
    if constexpr (kRoundsMoments) {
      static_cast<std::uint16_t*>(entry.first_moment)[at] = round_first_moment(moment_word, m);
      static_cast<std::uint16_t*>(entry.second_moment)[at] = round_second_moment(moment_word, v);
    } else {
      static_cast<float*>(entry.first_moment)[at] = m;
      static_cast<float*>(entry.second_moment)[at] = v;
    }
    entry.weight[at] = w;
    if (entry.rounded == nullptr) return;
    entry.rounded[at] =
        round_one(settings, entry.rounded_dtype, w, rounding_bits(word, upper_half));
  }

  __device__ __forceinline__ Philox4x32 draw(std::int64_t number) const {
    if (!settings.rounds_randomly || entry.rounded == nullptr) return {};
    return philox4x32(settings.seed, settings.stream,
                      entry.first_draw + static_cast<std::uint64_t>(number));
  }

  // This thread's share of a block from element `at`, draw `number` and `quad` on.
  __device__ __forceinline__ void whole_block(std::int64_t at, std::int64_t number,
                                              std::int64_t quad) const {
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair) {
      const Philox4x32 words = draw(number + pair * kThreads);
      const std::int64_t lower = at + pair * kPairElements, first = quad + pair * 2 * kThreads;
      whole_quad(lower, first, words, false);
      whole_quad(lower + kPairElements / 2, first + kThreads, words, true);
    }
  }
  __device__ __forceinline__ void part_of_block(std::int64_t at, std::int64_t number,
                                                std::int64_t first_quad) const {
#pragma unroll 1
    for (int quad = 0; quad < 2 * kPairs; ++quad, at += kPairElements / 2) {
      const Philox4x32 words = draw(number + quad / 2 * kThreads);
      const std::int64_t own = first_quad + quad * kThreads;
      if (entry.aligned && at >= 0 && at + 4 <= entry.count) {
        whole_quad(at, own, words, quad % 2 == 1);
        continue;
      }
      const Philox4x32 of_moments = kRoundsMoments ? moment_words(own) : Philox4x32{};
#pragma unroll
      for (int i = 0; i < 4; ++i) one(at + i, words[i], quad % 2 == 1, of_moments[i]);
    }
  }
};

template <bool kRoundsMoments>
__device__ __forceinline__ void update_block(const Table& table) {
  const Settings& s = table.settings;
  float scale = s.gradient_scale;
  if (s.gradient_scale_on_device != nullptr) scale *= *s.gradient_scale_on_device;
  if (!isfinite(scale)) return;
  const Entry entry = entry_of(table, blockIdx.x);
  const std::int64_t block = blockIdx.x - entry.first_block;
  const std::int64_t first = block * kBlockElements - entry.offset;
  const std::int64_t number = block * kPairs * kThreads + threadIdx.x;
  const std::int64_t at = first + 4 * static_cast<int>(threadIdx.x);
  const std::int64_t quad = block * (kBlockElements / 4) + threadIdx.x;
  const Work<kRoundsMoments> work{s, entry, scale};
  if (entry.aligned && first >= 0 && first + kBlockElements <= entry.count) {
    work.whole_block(at, number, quad);
  } else {
    work.part_of_block(at, number, quad);
  }
}

__global__ void __launch_bounds__(kThreads) adamw(const __grid_constant__ Table table) {
  update_block<false>(table);
}
__global__ void __launch_bounds__(kThreads)
    adamw_bfloat16_moments(const __grid_constant__ Table table) {
  update_block<true>(table);
}

bool rounds_moments(const AdamW& op) {
  return !op.tensors.empty() && op.tensors.front().first_moment.dtype() == DType::kBfloat16;
}

// Whether memory of `bytes` an element is aligned at quads, of which the first begins `offset`
// elements before it.
bool quads_align(const ConstView& view, std::int64_t offset) {
  const auto bytes = static_cast<std::int64_t>(bytes_of(view.dtype()));
  const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(view.raw()));
  return (address - offset % 4 * bytes) % (4 * bytes) == 0;
}

Entry entry_for(const AdamW& op, const AdamWTensor& t) {
  const auto address = reinterpret_cast<std::uintptr_t>(t.weight.raw());
  const bool draws = (op.rounding && t.rounded) || rounds_moments(op);
  const auto offset =
      static_cast<std::int64_t>(draws ? t.first_index % kDrawGroup : address % 16 / sizeof(float));
  const bool aligned = quads_align(t.weight, offset) && quads_align(t.gradient, offset) &&
                       quads_align(t.first_moment, offset) &&
                       quads_align(t.second_moment, offset) &&
                       (!t.rounded || quads_align(*t.rounded, offset));
  return {.weight = t.weight.data<float>(),
          .gradient = t.gradient.raw(),
          .first_moment = t.first_moment.raw(),
          .second_moment = t.second_moment.raw(),
          .rounded = t.rounded ? static_cast<std::uint16_t*>(t.rounded->raw()) : nullptr,
          .count = t.weight.elements(),
          .first_draw = draws ? t.first_index / kDrawGroup * kDrawDistance : 0,
          .keep = static_cast<float>(1.0 - op.learning_rate * t.weight_decay),
          .first_block = 0,
          .offset = static_cast<std::uint16_t>(offset),
          .aligned = aligned,
          .gradient_dtype = t.gradient.dtype(),
          .rounded_dtype = t.rounded ? t.rounded->dtype() : DType::kBfloat16};
}

Settings settings_of(const AdamW& op) {
  const auto step = static_cast<double>(op.step);
  const RandomStream stream = op.rounding.value_or(RandomStream{});
  const RandomStream moment_stream = op.moment_rounding.value_or(RandomStream{});
  return {.gradient_scale_on_device =
              op.gradient_scale_on_device ? op.gradient_scale_on_device->data<float>() : nullptr,
          .seed = stream.seed,
          .stream = stream.counter_high(),
          .moment_seed = moment_stream.seed,
          .moment_stream = moment_stream.counter_high(),
          .gradient_scale = op.gradient_scale,
          .one_minus_beta1 = static_cast<float>(1.0 - op.beta1),
          .beta2 = static_cast<float>(op.beta2),
          .one_minus_beta2 = static_cast<float>(1.0 - op.beta2),
          .descent = static_cast<float>(-op.learning_rate / (1.0 - std::pow(op.beta1, step))),
          .inverse_root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(op.beta2, step))),
          .epsilon = static_cast<float>(op.epsilon),
          .rounds_randomly = op.rounding.has_value()};
}

}  // namespace

void adamw_update(ExecutionContext& ctx, const AdamW& op) {
  Table table;
  table.settings = settings_of(op);
  std::size_t next = 0;
  while (next < op.tensors.size()) {
    std::uint32_t blocks = 0;
    table.entries = 0;
    for (; next < op.tensors.size() && table.entries < static_cast<int>(kTableSize); ++next) {
      Entry& entry = table.entry[table.entries];
      entry = entry_for(op, op.tensors[next]);
      if (entry.count == 0) continue;
      entry.first_block = blocks;
      blocks += static_cast<std::uint32_t>((entry.count + entry.offset + kBlockElements - 1) /
                                           kBlockElements);
      ++table.entries;
    }
    if (table.entries == 0) return;
    if (rounds_moments(op)) {
      adamw_bfloat16_moments<<<blocks, kThreads, 0, stream_of(ctx)>>>(table);
    } else {
      adamw<<<blocks, kThreads, 0, stream_of(ctx)>>>(table);
    }
    check_launch("adamw_update");
  }
}

}  // namespace ovid::kernels::cuda
