// lop3: any Boolean function of three words, one handler for each of the 256 tables.

#include <utility>

#include "tests/ptx_emulator/machine/lanes/map.h"

namespace ptx_emulator::lanes::PTX_LANES_ISA {
namespace {

// The function of two words whose table is the low four bits: bit 2b + c is its value there.
template <u32 kTable>
u32 of_two(u32 b, u32 c) {
  const u32 with_b = (kTable & 8u ? c : 0u) | (kTable & 4u ? ~c : 0u);
  const u32 without_b = (kTable & 2u ? c : 0u) | (kTable & 1u ? ~c : 0u);
  return (b & with_b) | (~b & without_b);
}

template <u32 kTable>
constexpr auto kLop3 = [](u32 a, u32 b, u32 c) {
#ifdef __AVX512F__
  return (a & of_two<(kTable >> 4)>(b, c)) | (~a & of_two<(kTable & 15u)>(b, c));
#else
  // Where the functions with and without `a` differ is the shorter form without a three-input
  // instruction.
  return of_two<(kTable & 15u)>(b, c) ^ (a & of_two<(kTable >> 4 ^ (kTable & 15u))>(b, c));
#endif
};

template <std::size_t... kTables>
void register_tables(FormSink& sink, std::index_sequence<kTables...>) {
  constexpr const char* kDigits[16] = {"0", "1", "2", "3", "4", "5", "6", "7",
                                       "8", "9", "a", "b", "c", "d", "e", "f"};
  (sink.add({"$lop3.", kDigits[kTables >> 4], kDigits[kTables & 15]}, "wwww", map<kLop3<kTables>>),
   ...);
}

}  // namespace

void register_lop3(FormSink& sink) {
  register_tables(sink, std::make_index_sequence<256>());
}

}  // namespace ptx_emulator::lanes::PTX_LANES_ISA
