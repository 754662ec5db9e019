// Layer normalisation of bf16 rows, forward and backward, a warp a row; gain and bias gradients in
// two passes of fixed order.
#include <cuda_bf16.h>

#include "check.cuh"

constexpr int kWidth = 768;

__device__ float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFU, value, offset);
  return value;
}

// 8 values to one 16-byte access.
struct alignas(16) Eight {
  __nv_bfloat162 pairs[4];
};

__global__ void forward(const __nv_bfloat16* x, const float* gain, const float* bias,
                        __nv_bfloat16* y, float* means, float* rstds, int rows) {
  const int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  float values[kWidth / 32];
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kWidth / 256; ++i) {
    const Eight eight = reinterpret_cast<const Eight*>(x + row * kWidth)[i * 32 + lane];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float2 pair = __bfloat1622float2(eight.pairs[j]);
      values[i * 8 + 2 * j] = pair.x;
      values[i * 8 + 2 * j + 1] = pair.y;
      sum += pair.x + pair.y;
    }
  }
  const float mean = warp_sum(sum) / kWidth;
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kWidth / 32; ++i) squares += (values[i] - mean) * (values[i] - mean);
  const float rstd = rsqrtf(warp_sum(squares) / kWidth + 1e-5F);
#pragma unroll
  for (int i = 0; i < kWidth / 256; ++i) {
    Eight eight;
    const int column = (i * 32 + lane) * 8;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float a =
          (values[i * 8 + 2 * j] - mean) * rstd * gain[column + 2 * j] + bias[column + 2 * j];
      const float b = (values[i * 8 + 2 * j + 1] - mean) * rstd * gain[column + 2 * j + 1] +
                      bias[column + 2 * j + 1];
      eight.pairs[j] = __floats2bfloat162_rn(a, b);
    }
    reinterpret_cast<Eight*>(y + row * kWidth)[i * 32 + lane] = eight;
  }
  if (lane == 0) {
    means[row] = mean;
    rstds[row] = rstd;
  }
}

// One block for each 64 columns; its 8 warps take every 8th row, then add up in a fixed order.
__global__ void gain_gradient(const __nv_bfloat16* x, const __nv_bfloat16* d_y, const float* means,
                              const float* rstds, float* d_gain, float* d_bias, int rows) {
  __shared__ float gains[8][64 + 1], biases[8][64 + 1];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int column = blockIdx.x * 64 + 2 * lane;
  float2 gain = {0, 0}, bias = {0, 0};
  for (int row = warp; row < rows; row += 8) {
    const float2 in =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(x + row * kWidth + column));
    const float2 d =
        __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(d_y + row * kWidth + column));
    gain.x += d.x * (in.x - means[row]) * rstds[row];
    gain.y += d.y * (in.y - means[row]) * rstds[row];
    bias.x += d.x;
    bias.y += d.y;
  }
  gains[warp][2 * lane] = gain.x;
  gains[warp][2 * lane + 1] = gain.y;
  biases[warp][2 * lane] = bias.x;
  biases[warp][2 * lane + 1] = bias.y;
  __syncthreads();
  if (threadIdx.x < 64) {
    float gain_sum = 0, bias_sum = 0;
    for (int i = 0; i < 8; ++i) {
      gain_sum += gains[i][threadIdx.x];
      bias_sum += biases[i][threadIdx.x];
    }
    d_gain[blockIdx.x * 64 + threadIdx.x] = gain_sum;
    d_bias[blockIdx.x * 64 + threadIdx.x] = bias_sum;
  }
}

int main() {
  const int rows = 101;
  std::vector<__nv_bfloat16> x(rows * kWidth), d_y(rows * kWidth);
  std::vector<float> gain(kWidth), bias(kWidth);
  for (int i = 0; i < rows * kWidth; ++i) {
    x[i] = __float2bfloat16(2 * noise(i, 3) + 0.5F);
    d_y[i] = __float2bfloat16(noise(i, 4));
  }
  for (int i = 0; i < kWidth; ++i) {
    gain[i] = 1 + 0.1F * noise(i, 5);
    bias[i] = 0.1F * noise(i, 6);
  }
  DeviceArray<__nv_bfloat16> d_x(x), d_d_y(d_y), y(x.size());
  DeviceArray<float> d_gain(gain), d_bias(bias), means(rows), rstds(rows), gain_sums(kWidth),
      bias_sums(kWidth);
  forward<<<(rows + 3) / 4, 128>>>(d_x.data, d_gain.data, d_bias.data, y.data, means.data,
                                   rstds.data, rows);
  gain_gradient<<<kWidth / 64, 256>>>(d_x.data, d_d_y.data, means.data, rstds.data, gain_sums.data,
                                      bias_sums.data, rows);
  CHECK(cudaGetLastError());

  const auto got = y.host();
  const auto got_gain = gain_sums.host(), got_bias = bias_sums.host();
  std::vector<double> gain_gradients(kWidth, 0.0), bias_gradients(kWidth, 0.0);
  Comparison comparison;
  for (int row = 0; row < rows; ++row) {
    double mean = 0, variance = 0;
    for (int i = 0; i < kWidth; ++i) mean += __bfloat162float(x[row * kWidth + i]);
    mean /= kWidth;
    for (int i = 0; i < kWidth; ++i)
      variance += std::pow(__bfloat162float(x[row * kWidth + i]) - mean, 2);
    const double rstd = 1 / std::sqrt(variance / kWidth + 1e-5);
    for (int i = 0; i < kWidth; ++i) {
      const double normal = (__bfloat162float(x[row * kWidth + i]) - mean) * rstd;
      comparison.add(__bfloat162float(got[row * kWidth + i]), normal * gain[i] + bias[i], 1e-5,
                     1.0 / 256);
      gain_gradients[i] += __bfloat162float(d_y[row * kWidth + i]) * normal;
      bias_gradients[i] += __bfloat162float(d_y[row * kWidth + i]);
    }
  }
  for (int i = 0; i < kWidth; ++i) {
    comparison.add(got_gain[i], gain_gradients[i], 1e-4, 0);
    comparison.add(got_bias[i], bias_gradients[i], 1e-4, 0);
  }
  return comparison.finish("layernorm bf16");
}
