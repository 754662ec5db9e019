#pragma once
// Lane loops: a function of one lane's values becomes a handler for a warp. Included only by files
// that are compiled once for each instruction set, with PTX_LANES_ISA naming the namespace: nothing
// here is shared between them, lest the linker give code for AVX-512 to a processor without it.

#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "tests/ptx_emulator/machine/lanes/form.h"
#include "tests/ptx_emulator/machine/lanes/registration.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s16 = std::int16_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

// Rounding control of MXCSR.
enum class Round : u32 { kNearest = 0, kDown = 0x2000, kUp = 0x4000, kZero = 0x6000 };

// The arithmetic between construction and destruction rounds as asked. Operands must come from
// memory and results go there meanwhile: both statements are barriers for memory, which is what
// keeps the compiler from moving arithmetic.
template <Round kRound>
class RoundingScope {
 public:
  RoundingScope() {
    if constexpr (kRound != Round::kNearest) {
      const u32 control = 0x1F80u | static_cast<u32>(kRound);
      asm volatile("ldmxcsr %0" : : "m"(control) : "memory");
    }
  }
  ~RoundingScope() {
    if constexpr (kRound != Round::kNearest) {
      const u32 control = 0x1F80u;
      asm volatile("ldmxcsr %0" : : "m"(control) : "memory");
    }
  }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;
};

[[gnu::always_inline]] inline u32 active_lanes(const Warp& warp, const Op* op) {
  u32 active = warp.active;
  if (op->guard >= 0) {
    active &= *reinterpret_cast<const u32*>(warp.bases[0] + op->guard) ^ op->guard_flip;
  }
  return active;
}

[[gnu::always_inline]] inline const std::byte* address_of(const Warp& warp, Place place) {
  return warp.bases[static_cast<u32>(place.base)] + place.offset;
}

// The values of one source. `bool` stands for a predicate.
template <typename T>
struct Source {
  [[gnu::always_inline]] Source(const Warp& warp, Place place)
      : values(static_cast<const T*>(__builtin_assume_aligned(address_of(warp, place), 64))) {}
  [[gnu::always_inline]] T operator[](u32 lane) const { return values[lane]; }
  const T* values;
};
template <>
struct Source<bool> {
  [[gnu::always_inline]] Source(const Warp& warp, Place place)
      : word(*reinterpret_cast<const u32*>(address_of(warp, place))) {}
  [[gnu::always_inline]] bool operator[](u32 lane) const { return (word >> lane & 1u) != 0; }
  u32 word;
};

template <typename T>
[[gnu::always_inline]] inline T* target(Warp& warp, Place place) {
  return static_cast<T*>(__builtin_assume_aligned(warp.bases[0] + place.offset, 64));
}
[[gnu::always_inline]] inline void set_predicate(Warp& warp, Place place, u32 lanes, u32 value) {
  u32* word = reinterpret_cast<u32*>(warp.bases[0] + place.offset);
  *word = (*word & ~lanes) | (value & lanes);
}

// Stores f(lane) for the lanes given. The destination may be the slot of a source: a lane reads
// before it writes.
template <typename D, typename F>
[[gnu::always_inline]] inline void store_lanes(Warp& warp, Place place, u32 lanes, F f) {
  if constexpr (std::is_same_v<D, bool>) {
    u32 bits = 0;
    for (u32 i = 0; i < kWarpLanes; ++i) bits |= static_cast<u32>(f(i)) << i;
    set_predicate(warp, place, lanes, bits);
  } else {
    D* d = target<D>(warp, place);
    if (lanes == kAllLanes) {
#pragma GCC ivdep
      for (u32 i = 0; i < kWarpLanes; ++i) d[i] = f(i);
    } else {
#pragma GCC ivdep
      for (u32 i = 0; i < kWarpLanes; ++i) {
        const D value = f(i);
        d[i] = (lanes >> i & 1u) != 0 ? value : d[i];
      }
    }
  }
}

template <auto kF, typename Signature>
struct Mapper;
template <auto kF, typename C, typename D, typename A>
struct Mapper<kF, D (C::*)(A) const> {
  [[gnu::always_inline]] static void run(Warp& warp, const Op* op, u32 lanes) {
    const Source<A> a(warp, op->a);
    store_lanes<D>(warp, op->d, lanes, [&](u32 i) { return kF(a[i]); });
  }
};
template <auto kF, typename C, typename D, typename A, typename B>
struct Mapper<kF, D (C::*)(A, B) const> {
  [[gnu::always_inline]] static void run(Warp& warp, const Op* op, u32 lanes) {
    const Source<A> a(warp, op->a);
    const Source<B> b(warp, op->b);
    store_lanes<D>(warp, op->d, lanes, [&](u32 i) { return kF(a[i], b[i]); });
  }
};
template <auto kF, typename C, typename D, typename A, typename B, typename E>
struct Mapper<kF, D (C::*)(A, B, E) const> {
  [[gnu::always_inline]] static void run(Warp& warp, const Op* op, u32 lanes) {
    const Source<A> a(warp, op->a);
    const Source<B> b(warp, op->b);
    const Source<E> c(warp, op->c);
    store_lanes<D>(warp, op->d, lanes, [&](u32 i) { return kF(a[i], b[i], c[i]); });
  }
};
template <auto kF, typename C, typename D, typename A, typename B, typename E, typename G>
struct Mapper<kF, D (C::*)(A, B, E, G) const> {
  [[gnu::always_inline]] static void run(Warp& warp, const Op* op, u32 lanes) {
    const Source<A> a(warp, op->a);
    const Source<B> b(warp, op->b);
    const Source<E> c(warp, op->c);
    const Source<G> e(warp, *static_cast<const Place*>(op->extra));
    store_lanes<D>(warp, op->d, lanes, [&](u32 i) { return kF(a[i], b[i], c[i], e[i]); });
  }
};

// The handler that applies the function kF (a lambda without captures) to every lane. Its parameter
// types say how the lanes are stored; bool is a predicate. Flattened: a call that stays a call
// keeps its whole loop from being vectorised.
template <auto kF, Round kRound = Round::kNearest>
[[gnu::flatten]] const Op* map(Warp& warp, const Op* op) {
  const RoundingScope<kRound> scope;
  Mapper<kF, decltype(&decltype(kF)::operator())>::run(warp, op, active_lanes(warp, op));
  return op + 1;
}

// The same for predicates: kF works on whole words.
template <auto kF>
const Op* map_words(Warp& warp, const Op* op) {
  const u32 a = Source<bool>(warp, op->a).word;
  const u32 b = Source<bool>(warp, op->b).word;
  set_predicate(warp, op->d, active_lanes(warp, op), kF(a, b));
  return op + 1;
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
