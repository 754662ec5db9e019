#include "tests/ptx_emulator/machine/lanes/registration.h"

namespace ptx_emulator::lanes {

void register_avx2(FormSink& sink) {
  avx2::register_integer(sink);
  avx2::register_multiply(sink);
  avx2::register_logic(sink);
  avx2::register_lop3(sink);
  avx2::register_compare(sink);
  avx2::register_float32(sink);
  avx2::register_float64(sink);
  avx2::register_approximate(sink);
  avx2::register_half(sink);
  avx2::register_convert(sink);
  avx2::register_move(sink);
  avx2::register_exchange(sink);
}

void register_avx512(FormSink& sink) {
  avx512::register_integer(sink);
  avx512::register_multiply(sink);
  avx512::register_logic(sink);
  avx512::register_lop3(sink);
  avx512::register_compare(sink);
  avx512::register_float32(sink);
  avx512::register_float64(sink);
  avx512::register_approximate(sink);
  avx512::register_half(sink);
  avx512::register_convert(sink);
  avx512::register_move(sink);
  avx512::register_exchange(sink);
}

}  // namespace ptx_emulator::lanes
