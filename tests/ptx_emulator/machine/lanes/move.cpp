// Copies, and the taking apart and putting together of wider registers.

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

struct alignas(16) Wide {
  u64 low, high;
};

template <typename L>
constexpr auto kMove = [](L a) { return a; };
constexpr auto kPackHalves = [](u32 a, u32 b) { return (a & 0xFFFFu) | b << 16; };
constexpr auto kPackBytes = [](u32 a, u32 b) { return (a & 0xFFu) | (b & 0xFFu) << 8; };
constexpr auto kPackFourBytes = [](u32 a, u32 b, u32 c, u32 d) {
  return (a & 0xFFu) | (b & 0xFFu) << 8 | (c & 0xFFu) << 16 | d << 24;
};
constexpr auto kPackWords = [](u32 a, u32 b) { return u64{b} << 32 | a; };
constexpr auto kPackFourHalves = [](u32 a, u32 b, u32 c, u32 d) {
  return u64{(c & 0xFFFFu) | d << 16} << 32 | (a & 0xFFFFu) | b << 16;
};
constexpr auto kPackDoubles = [](u64 a, u64 b) { return Wide{a, b}; };
constexpr auto kPackFourWords = [](u32 a, u32 b, u32 c, u32 d) {
  return Wide{u64{b} << 32 | a, u64{d} << 32 | c};
};

// kBits bits of the source from bit Op::small on.
template <typename D, typename S, u32 kBits>
const Op* extract(Warp& warp, const Op* op) {
  constexpr D kMask = kBits < 8 * sizeof(D)
                          ? static_cast<D>((D{1} << (kBits % (8 * sizeof(D)))) - 1)
                          : static_cast<D>(~D{0});
  const Source<S> a(warp, op->a);
  const u32 shift = op->small & (8 * sizeof(S) - 1);
  store_lanes<D>(warp, op->d, active_lanes(warp, op),
                 [&](u32 i) { return static_cast<D>(static_cast<D>(a[i] >> shift) & kMask); });
  return op + 1;
}
template <typename D>
const Op* extract_of_wide(Warp& warp, const Op* op) {
  const Source<Wide> a(warp, op->a);
  const u32 shift = op->small;
  store_lanes<D>(warp, op->d, active_lanes(warp, op), [&](u32 i) {
    return static_cast<D>((shift < 64 ? a[i].low : a[i].high) >> (shift & 63u));
  });
  return op + 1;
}

}  // namespace

void register_move(FormSink& sink) {
  sink.add("mov.{b16,u16,s16,f16,bf16}", "hh", map<kMove<u32>>);
  sink.add("mov.{b32,u32,s32}", "ww", map<kMove<u32>>);
  sink.add("mov.f32", "ff", map<kMove<u32>>);
  sink.add("mov.{b64,u64,s64}", "dd", map<kMove<u64>>);
  sink.add("mov.f64", "gg", map<kMove<u64>>);
  sink.add("mov.b128", "qq", map<kMove<Wide>>);
  sink.add("$pack.8.16", "hhh", map<kPackBytes>);
  sink.add("$pack.8.32", "whhhh", map<kPackFourBytes>);
  sink.add("$pack.16.32", "whh", map<kPackHalves>);
  sink.add("$pack.32.64", "dww", map<kPackWords>);
  sink.add("$pack.16.64", "dhhhh", map<kPackFourHalves>);
  sink.add("$pack.64.128", "qdd", map<kPackDoubles>);
  sink.add("$pack.32.128", "qwwww", map<kPackFourWords>);
  sink.add("$extract.8.16", "hh", extract<u32, u32, 8>);
  sink.add("$extract.8.32", "hw", extract<u32, u32, 8>);
  sink.add("$extract.16.32", "hw", extract<u32, u32, 16>);
  sink.add("$extract.16.64", "hd", extract<u32, u64, 16>);
  sink.add("$extract.32.64", "wd", extract<u32, u64, 32>);
  sink.add("$extract.32.128", "wq", extract_of_wide<u32>);
  sink.add("$extract.64.128", "dq", extract_of_wide<u64>);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
