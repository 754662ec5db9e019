#pragma once
// The files of lane loops: each is compiled for AVX2 and for AVX-512, into the namespaces of those
// names.

namespace ptx_emulator::lanes {

class FormSink;

namespace avx2 {
void register_integer(FormSink& sink);
void register_multiply(FormSink& sink);
void register_logic(FormSink& sink);
void register_lop3(FormSink& sink);
void register_compare(FormSink& sink);
void register_float32(FormSink& sink);
void register_float64(FormSink& sink);
void register_approximate(FormSink& sink);
void register_half(FormSink& sink);
void register_convert(FormSink& sink);
void register_move(FormSink& sink);
void register_exchange(FormSink& sink);
}  // namespace avx2

namespace avx512 {
void register_integer(FormSink& sink);
void register_multiply(FormSink& sink);
void register_logic(FormSink& sink);
void register_lop3(FormSink& sink);
void register_compare(FormSink& sink);
void register_float32(FormSink& sink);
void register_float64(FormSink& sink);
void register_approximate(FormSink& sink);
void register_half(FormSink& sink);
void register_convert(FormSink& sink);
void register_move(FormSink& sink);
void register_exchange(FormSink& sink);
}  // namespace avx512

// All forms of one instruction set.
void register_avx2(FormSink& sink);
void register_avx512(FormSink& sink);
// What is rare enough to run lane by lane, for every processor.
void register_scalar_forms(FormSink& sink);

}  // namespace ptx_emulator::lanes
