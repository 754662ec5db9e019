// Exchanges between the lanes of a warp: shuffles, votes, matches, reductions. Lanes meet first
// (machine/simt.h), for whichever masks they bring: several groups with masks of their own may go
// through one instruction together.

#include "tests/ptx_emulator/machine/lanes/exchange.h"

#include "tests/ptx_emulator/machine/lanes/numbers.h"
#include "tests/ptx_emulator/machine/simt.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

const ExchangeRecord& record_of(const Op* op) {
  return *static_cast<const ExchangeRecord*>(op->extra);
}

// The source lane of a shuffle, -1 where it is out of range, by the manual's formulas.
struct Up {
  static s32 source(s32 lane, s32 shift, s32, s32 limit, s32) {
    const s32 j = lane - shift;
    return j >= limit ? j : -1;
  }
};
struct Down {
  static s32 source(s32 lane, s32 shift, s32, s32 limit, s32) {
    const s32 j = lane + shift;
    return j <= limit ? j : -1;
  }
};
struct Butterfly {
  static s32 source(s32 lane, s32 bits, s32, s32 limit, s32) {
    const s32 j = lane ^ bits;
    return j <= limit ? j : -1;
  }
};
struct Index {
  static s32 source(s32, s32 index, s32 lowest, s32 limit, s32 segment) {
    const s32 j = lowest | (index & ~segment);
    return j <= limit ? j : -1;
  }
};

// A lane that reads from one that does not take part gets all ones, a NaN: the manual leaves the
// value open.
template <typename Mode>
const Op* shuffle(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  if (lanes == 0) return op + 1;
  const ExchangeRecord& record = record_of(op);
  const Source<u32> a(warp, op->a), mask(warp, record.mask);
  const Source<s32> b(warp, op->b), c(warp, op->c);
  if (!meet_lanes(warp, op, lanes, mask.values)) return nullptr;
  alignas(64) s32 from[kWarpLanes];
  alignas(64) u32 values[kWarpLanes];
  u32 in_range = 0;
  for (u32 i = 0; i < kWarpLanes; ++i) {
    const s32 lane = static_cast<s32>(i), segment = c[i] >> 8 & 31, lowest = lane & segment;
    const s32 limit = lowest | (c[i] & 31 & ~segment);
    const s32 j = Mode::source(lane, b[i] & 31, lowest, limit, segment);
    in_range |= (j >= 0 ? 1u : 0u) << i;
    from[i] = (j >= 0 ? j : lane) & 31;
  }
  for (u32 i = 0; i < kWarpLanes; ++i) values[i] = a[static_cast<u32>(from[i])];
  store_lanes<u32>(warp, op->d, lanes, [&](u32 i) {
    const u32 value = values[i], takes_part = (lanes & mask[i]) >> from[i] & 1u;
    return takes_part != 0 ? value : ~0u;
  });
  set_predicate(warp, record.predicate, lanes, in_range);
  return op + 1;
}

enum class Vote { kAll, kAny, kUni, kBallot };

template <Vote kVote>
const Op* vote(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  if (lanes == 0) return op + 1;
  const Source<u32> mask(warp, record_of(op).mask);
  if (!meet_lanes(warp, op, lanes, mask.values)) return nullptr;
  const u32 word = Source<bool>(warp, op->a).word;
  if constexpr (kVote == Vote::kBallot) {
    store_lanes<u32>(warp, op->d, lanes, [&](u32 i) { return word & lanes & mask[i]; });
  } else {
    store_lanes<bool>(warp, op->d, lanes, [&](u32 i) {
      const u32 voters = lanes & mask[i], yes = word & voters;
      if (kVote == Vote::kAll) return yes == voters;
      if (kVote == Vote::kAny) return yes != 0;
      return yes == voters || yes == 0;
    });
  }
  return op + 1;
}

template <typename L, bool kAll>
const Op* match(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  if (lanes == 0) return op + 1;
  const ExchangeRecord& record = record_of(op);
  const Source<u32> mask(warp, record.mask);
  if (!meet_lanes(warp, op, lanes, mask.values)) return nullptr;
  const Source<L> a(warp, op->a);
  u32 results[kWarpLanes];
  u32 complete = 0;
  for (u32 i = 0; i < kWarpLanes; ++i) {
    u32 equal = 0;
    for (u32 j = 0; j < kWarpLanes; ++j) equal |= static_cast<u32>(a[i] == a[j]) << j;
    const u32 group = lanes & mask[i];
    const bool all = (equal & group) == group;
    results[i] = kAll ? (all ? group : 0u) : equal & group;
    complete |= static_cast<u32>(all) << i;
  }
  store_lanes<u32>(warp, op->d, lanes, [&](u32 i) { return results[i]; });
  set_predicate(warp, record.predicate, lanes, complete);
  return op + 1;
}

// Lane i gets the values of its mask's lanes, put together by kF.
template <typename L, auto kF>
const Op* reduce(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  if (lanes == 0) return op + 1;
  const Source<u32> mask(warp, record_of(op).mask);
  if (!meet_lanes(warp, op, lanes, mask.values)) return nullptr;
  const Source<L> a(warp, op->a);
  L results[kWarpLanes] = {};
  u32 left = lanes;
  while (left != 0) {
    const u32 group = mask[static_cast<u32>(__builtin_ctz(left))] & lanes;
    u32 rest = group;
    L total = a[static_cast<u32>(__builtin_ctz(rest))];
    // A lane alone still loses its sign (.abs) and the payload of a NaN.
    if constexpr (std::is_same_v<L, float>) total = kF(total, total);
    while ((rest &= rest - 1) != 0) total = kF(total, a[static_cast<u32>(__builtin_ctz(rest))]);
    for (u32 i = 0; i < kWarpLanes; ++i) {
      if ((group >> i & 1u) != 0) results[i] = total;
    }
    left &= ~group;
  }
  store_lanes<L>(warp, op->d, lanes, [&](u32 i) { return results[i]; });
  return op + 1;
}

const Op* elect(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  if (lanes == 0) return op + 1;
  const ExchangeRecord& record = record_of(op);
  const Source<u32> mask(warp, record.mask);
  if (!meet_lanes(warp, op, lanes, mask.values)) return nullptr;
  u32 leaders[kWarpLanes];
  u32 elected = 0;
  for (u32 i = 0; i < kWarpLanes; ++i) {
    const u32 group = mask[i] & lanes;
    leaders[i] = group == 0 ? 0 : static_cast<u32>(__builtin_ctz(group));
    elected |= static_cast<u32>(leaders[i] == i) << i;
  }
  store_lanes<u32>(warp, op->d, lanes, [&](u32 i) { return leaders[i]; });
  set_predicate(warp, record.predicate, lanes, elected);
  return op + 1;
}

const Op* active_mask(Warp& warp, const Op* op) {
  const u32 lanes = active_lanes(warp, op);
  store_lanes<u32>(warp, op->d, lanes, [&](u32) { return lanes; });
  return op + 1;
}

constexpr auto kAdd = [](u32 a, u32 b) { return a + b; };
constexpr auto kAnd = [](u32 a, u32 b) { return a & b; };
constexpr auto kOr = [](u32 a, u32 b) { return a | b; };
constexpr auto kXor = [](u32 a, u32 b) { return a ^ b; };
template <typename T>
constexpr auto kMin = [](T a, T b) { return a < b ? a : b; };
template <typename T>
constexpr auto kMax = [](T a, T b) { return a < b ? b : a; };
template <bool kIsMax, bool kAbs, bool kNan>
constexpr auto kExtreme = [](float a, float b) {
  const float x = kAbs ? __builtin_fabsf(a) : a, y = kAbs ? __builtin_fabsf(b) : b;
  return kIsMax ? maximum<kNan>(x, y) : minimum<kNan>(x, y);
};

template <bool kIsMax>
void register_float_reductions(FormSink& sink, const char* head) {
  sink.add({head, ".f32"}, "fff", reduce<float, kExtreme<kIsMax, false, false>>);
  sink.add({head, ".NaN.f32"}, "fff", reduce<float, kExtreme<kIsMax, false, true>>);
  sink.add({head, ".abs.f32"}, "fff", reduce<float, kExtreme<kIsMax, true, false>>);
  sink.add({head, ".abs.NaN.f32"}, "fff", reduce<float, kExtreme<kIsMax, true, true>>);
}

}  // namespace

void register_exchange(FormSink& sink) {
  sink.add("$shfl.sync.up.b32", "wwww", shuffle<Up>);
  sink.add("$shfl.sync.down.b32", "wwww", shuffle<Down>);
  sink.add("$shfl.sync.bfly.b32", "wwww", shuffle<Butterfly>);
  sink.add("$shfl.sync.idx.b32", "wwww", shuffle<Index>);
  sink.add("$vote.sync.all.pred", "pp", vote<Vote::kAll>);
  sink.add("$vote.sync.any.pred", "pp", vote<Vote::kAny>);
  sink.add("$vote.sync.uni.pred", "pp", vote<Vote::kUni>);
  sink.add("$vote.sync.ballot.b32", "wp", vote<Vote::kBallot>);
  sink.add("$match.any.sync.b32", "ww", match<u32, false>);
  sink.add("$match.any.sync.b64", "wd", match<u64, false>);
  sink.add("$match.all.sync.b32", "ww", match<u32, true>);
  sink.add("$match.all.sync.b64", "wd", match<u64, true>);
  sink.add("$redux.sync.add.{u32,s32}", "ww", reduce<u32, kAdd>);
  sink.add("$redux.sync.min.u32", "ww", reduce<u32, kMin<u32>>);
  sink.add("$redux.sync.max.u32", "ww", reduce<u32, kMax<u32>>);
  sink.add("$redux.sync.min.s32", "ww", reduce<s32, kMin<s32>>);
  sink.add("$redux.sync.max.s32", "ww", reduce<s32, kMax<s32>>);
  sink.add("$redux.sync.and.b32", "ww", reduce<u32, kAnd>);
  sink.add("$redux.sync.or.b32", "ww", reduce<u32, kOr>);
  sink.add("$redux.sync.xor.b32", "ww", reduce<u32, kXor>);
  register_float_reductions<false>(sink, "$redux.sync.min");
  register_float_reductions<true>(sink, "$redux.sync.max");
  sink.add("$elect.sync", "w", elect);
  sink.add("$activemask.b32", "w", active_mask);
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
