#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/checkpoint/safetensors.h"
#include "src/core/file.h"
#include "src/model/model_config.h"

namespace ovid::test {

// Half the distance from 1 to the next float: the relative error of one rounding.
inline constexpr double kFloat32Rounding = 0x1p-24;

// How far float32 values lie from exact ones. Anything that is not finite makes both infinite.
struct Distance {
  double max_abs = 0;
  double relative_l2 = 0;  // |value - exact| / |exact|
};
Distance distance(std::span<const float> value, std::span<const double> exact);

// The relative error (L2) that rounding explains in what a network of this shape computes in
// float32. The error of a sum of K terms, each rounded once, grows as sqrt(K) roundings (a random
// walk; Higham, Mary 2019), and independent errors of sums that feed each other add in squares. So:
// the square root of all K on the longest way from the tokens to the logits, in roundings.
double forward_tolerance(const model::ModelConfig& config, std::int64_t length);

std::vector<double> read_float64(const checkpoint::SafetensorsFile& file, const std::string& name);
std::vector<std::int32_t> read_int32(const checkpoint::SafetensorsFile& file,
                                     const std::string& name);

// A file or folder of tests/golden.
Path golden(const std::string& relative_path);

}  // namespace ovid::test
