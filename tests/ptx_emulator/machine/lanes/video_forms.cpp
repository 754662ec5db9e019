// The video instructions on packed bytes and halves, whole operands only: those with byte
// selections or masks remain unsupported.

#define PTX_LANES_ISA scalar
#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::scalar {

void register_video(FormSink& sink);

namespace {

// Operations on two elements, extended to s32.
s32 sum(s32 a, s32 b) {
  return a + b;
}
s32 difference(s32 a, s32 b) {
  return a - b;
}
s32 distance(s32 a, s32 b) {
  return a < b ? b - a : a - b;
}
s32 least(s32 a, s32 b) {
  return a < b ? a : b;
}
s32 most(s32 a, s32 b) {
  return a < b ? b : a;
}
// The average rounds up: halves go away from zero's lower side.
s32 average(s32 a, s32 b) {
  return (a + b + 1) >> 1;
}
s32 equal(s32 a, s32 b) {
  return a == b;
}
s32 unequal(s32 a, s32 b) {
  return a != b;
}
s32 less(s32 a, s32 b) {
  return a < b;
}
s32 at_most(s32 a, s32 b) {
  return a <= b;
}
s32 greater(s32 a, s32 b) {
  return b < a;
}
s32 at_least(s32 a, s32 b) {
  return b <= a;
}

template <u32 kBits, bool kSigned>
s32 element(u32 word, u32 index) {
  const u32 shifted = word >> kBits * index;
  constexpr u32 kUnused = 32 - kBits;
  return kSigned ? static_cast<s32>(shifted << kUnused) >> kUnused
                 : static_cast<s32>(shifted << kUnused >> kUnused);
}

// What becomes of the elements' results: put into d, clamped first, or summed up onto c.
enum class Merge { kPlain, kSat, kAdd };

template <auto kF, u32 kBits, bool kSignedD, bool kSignedA, bool kSignedB, Merge kMerge>
constexpr auto kVideo = [](u32 a, u32 b, u32 c) -> u32 {
  constexpr u32 kMask = (1u << kBits) - 1;
  constexpr s32 kMost = static_cast<s32>(kSignedD ? kMask >> 1 : kMask);
  constexpr s32 kLeast = kSignedD ? -kMost - 1 : 0;
  u32 packed = 0, total = c;
  for (u32 i = 0; i < 32 / kBits; ++i) {
    s32 value = kF(element<kBits, kSignedA>(a, i), element<kBits, kSignedB>(b, i));
    if constexpr (kMerge == Merge::kSat)
      value = value < kLeast ? kLeast : (value > kMost ? kMost : value);
    packed |= (static_cast<u32>(value) & kMask) << kBits * i;
    total += static_cast<u32>(value);
  }
  return kMerge == Merge::kAdd ? total : packed;
};

template <auto kF, u32 kBits, bool kD, bool kA, bool kB>
void add_merges(FormSink& sink, const char* opcode, const char* types) {
  sink.add({opcode, types}, "wwww", map<kVideo<kF, kBits, kD, kA, kB, Merge::kPlain>>);
  sink.add({opcode, types, ".sat"}, "wwww", map<kVideo<kF, kBits, kD, kA, kB, Merge::kSat>>);
  sink.add({opcode, types, ".add"}, "wwww", map<kVideo<kF, kBits, kD, kA, kB, Merge::kAdd>>);
}
template <auto kF, u32 kBits>
void add_types(FormSink& sink, const char* opcode) {
  add_merges<kF, kBits, false, false, false>(sink, opcode, ".u32.u32.u32");
  add_merges<kF, kBits, false, true, true>(sink, opcode, ".u32.s32.s32");
  add_merges<kF, kBits, true, false, false>(sink, opcode, ".s32.u32.u32");
  add_merges<kF, kBits, true, true, true>(sink, opcode, ".s32.s32.s32");
}
template <auto kF, u32 kBits>
void add_comparison(FormSink& sink, const char* opcode, const char* comparison) {
  sink.add({opcode, ".u32.u32", comparison}, "wwww",
           map<kVideo<kF, kBits, false, false, false, Merge::kPlain>>);
  sink.add({opcode, ".s32.s32", comparison}, "wwww",
           map<kVideo<kF, kBits, false, true, true, Merge::kPlain>>);
  sink.add({opcode, ".u32.u32", comparison, ".add"}, "wwww",
           map<kVideo<kF, kBits, false, false, false, Merge::kAdd>>);
  sink.add({opcode, ".s32.s32", comparison, ".add"}, "wwww",
           map<kVideo<kF, kBits, false, true, true, Merge::kAdd>>);
}
template <u32 kBits>
void add_comparisons(FormSink& sink, const char* opcode) {
  add_comparison<equal, kBits>(sink, opcode, ".eq");
  add_comparison<unequal, kBits>(sink, opcode, ".ne");
  add_comparison<less, kBits>(sink, opcode, ".lt");
  add_comparison<at_most, kBits>(sink, opcode, ".le");
  add_comparison<greater, kBits>(sink, opcode, ".gt");
  add_comparison<at_least, kBits>(sink, opcode, ".ge");
}

}  // namespace

void register_video(FormSink& sink) {
  add_types<sum, 16>(sink, "vadd2");
  add_types<difference, 16>(sink, "vsub2");
  add_types<distance, 16>(sink, "vabsdiff2");
  add_types<least, 16>(sink, "vmin2");
  add_types<most, 16>(sink, "vmax2");
  add_types<average, 16>(sink, "vavrg2");
  add_comparisons<16>(sink, "vset2");
  add_types<sum, 8>(sink, "vadd4");
  add_types<difference, 8>(sink, "vsub4");
  add_types<distance, 8>(sink, "vabsdiff4");
  add_types<least, 8>(sink, "vmin4");
  add_types<most, 8>(sink, "vmax4");
  add_types<average, 8>(sink, "vavrg4");
  add_comparisons<8>(sink, "vset4");
}

}  // namespace ptx_emulator::lanes::scalar
