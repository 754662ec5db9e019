#include "tests/ptx_emulator/machine/tensor/products.h"

#include <cstdlib>
#include <string_view>

namespace ptx_emulator::tensor {

const ProductKernels& product_kernels() {
  static const ProductKernels& chosen = []() -> const ProductKernels& {
    const char* asked = std::getenv("PTX_EMULATOR_ISA");
    const bool narrow = asked != nullptr && std::string_view(asked) == "avx2";
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return wide && !narrow ? avx512::product_kernels() : avx2::product_kernels();
  }();
  return chosen;
}

}  // namespace ptx_emulator::tensor
