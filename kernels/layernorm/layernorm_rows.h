#pragma once

// Inside kernels/layernorm: the operands of one row, as layernorm_cpu.cpp hands them to its SIMD
// code.
namespace ovid::kernels::cpu {

struct NormRow {
  const float* in;                 // with a residual sum: x
  const float* branch = nullptr;   // null: no residual sum
  const float* factors = nullptr;  // of the branch; null: no dropout
  float* sum = nullptr;            // null: no residual sum
  const float* gain;
  const float* bias;
  float* out;
  float* mean;
  float* inv_std;
};

struct NormGradientRow {
  const float* d_out;
  const float* in;
  const float* gain;
  float mean;
  float inv_std;
  const float* factors;  // null: no dropout
  float* d_in;           // with a residual sum: the gradient of the branch
  float* d_sum;          // null: no residual sum
  float* d_gain;         // partial sums of this row's block; null: neither is wanted
  float* d_bias;         // null with d_gain
};

struct NormAverages {
  float g, gz;
};

}  // namespace ovid::kernels::cpu
