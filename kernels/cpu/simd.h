#pragma once

// Conventions of SIMD code. Every file of SIMD code includes this first (before anything of
// Highway) and looks so:
//
//   #include "kernels/gelu/gelu.h"                             // own contract
//   #include "kernels/cpu/simd.h"
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "kernels/gelu/gelu_cpu.cpp"     // this very file: compiled once for
//   each target #include "hwy/foreach_target.h" #include "hwy/highway.h" HWY_BEFORE_NAMESPACE();
//   namespace ovid::kernels::cpu {
//   namespace HWY_NAMESPACE {
//   void gelu_rows(const float* in, float* out, std::int64_t count) { ... }   // one piece, on one
//   thread }  // namespace HWY_NAMESPACE }  // namespace ovid::kernels::cpu HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   namespace ovid::kernels::cpu {
//   HWY_EXPORT(gelu_rows);
//   void gelu_forward(...) { parallel_for(..., [&](begin, end) {
//   HWY_DYNAMIC_DISPATCH(gelu_rows)(...); }); }
//   }
//   #endif
//
// Functions inside HWY_NAMESPACE compute one piece from plain pointers; threads stay outside, in
// the HWY_ONCE part, so that no library template is instantiated with another instruction set's
// code. HWY_DYNAMIC_DISPATCH takes an unqualified name. What several files share lies in an
// `-inl.h` with Highway's toggling include guard (kernels/cpu/vector_math-inl.h is one).
//
// Sums across lanes depend on the width of a vector: bits are equal on one instruction set, not
// across them.

// Three targets are enough: AVX-512, AVX2, and portable code for everything else. Each further one
// costs compile time, size and a test run, and none of those left out is faster in float32.
#ifdef HWY_DISABLED_TARGETS
#error "include kernels/cpu/simd.h before Highway's headers"
#endif
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
