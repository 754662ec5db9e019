#pragma once

#include <string>

#include "src/diagnosis/finding.h"

namespace ovid::diagnosis {

// Measured speeds of this machine, on all threads.
struct SpeedFacts {
  std::string matrix_library;
  double matrix_flops_per_second = 0;  // of a product such as training has
  double peak_flops_per_second = 0;    // of multiply-adds in registers
  double bytes_per_second = 0;         // of memory; 0 where it could not be measured
  bool portable = false;               // the kernels run without AVX2 or better
};

// Takes about a second. Throws Error or std::bad_alloc where memory is short.
SpeedFacts measure_speed(int threads);
Findings check_speed(const SpeedFacts& speed);

}  // namespace ovid::diagnosis
