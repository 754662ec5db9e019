#include "kernels/cuda/tensor_map.cuh"

#include <string>

#include "kernels/common/errors.h"
#include "kernels/cuda/check.cuh"

namespace ovid::kernels::cuda {

namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

// The driver's function; taken through the runtime, so that nothing links with the driver.
Encode find_encode() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault,
                                         &found));
#else
  check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found));
#endif
  if (found != cudaDriverEntryPointSuccess || entry == nullptr) {
    throw DeviceError(
        "CUDA: the driver has no cuTensorMapEncodeTiled; it needs version 12 or newer");
  }
  return reinterpret_cast<Encode>(entry);
}

}  // namespace

bool tensor_map_takes(const ConstView& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.raw()) % 16 == 0 && tensor.row_stride() % 8 == 0;
}

CUtensorMap make_tensor_map(const ConstView& tensor, std::uint32_t box_rows) {
  static const Encode encode = find_encode();
  const auto columns = static_cast<cuuint64_t>(tensor.columns());
  const auto row_bytes = static_cast<cuuint64_t>(tensor.row_stride()) * 2;
  const auto rows = static_cast<cuuint64_t>(tensor.shape()[1]);
  const auto matrices = static_cast<cuuint64_t>(tensor.shape()[0]);
  const cuuint64_t sizes[3] = {columns, rows, matrices};
  const cuuint64_t strides[2] = {row_bytes, row_bytes * rows};
  const cuuint32_t box[3] = {kBoxColumns, box_rows, 1};
  const cuuint32_t steps[3] = {1, 1, 1};
  CUtensorMap map{};
  const CUresult result =
      encode(&map,
             tensor.dtype() == DType::kBfloat16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
             3, const_cast<void*>(tensor.raw()), sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw DeviceError("CUDA: cuTensorMapEncodeTiled of " + tensor.shape().text() + ": error " +
                      std::to_string(static_cast<int>(result)));
  }
  return map;
}

}  // namespace ovid::kernels::cuda
