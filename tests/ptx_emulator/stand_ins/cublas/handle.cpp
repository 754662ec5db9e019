#include "tests/ptx_emulator/stand_ins/cublas/handle.h"

#include <library_types.h>

#include <cstring>
#include <new>
#include <utility>

#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"
#include "tests/ptx_emulator/stand_ins/support/status_text.h"

namespace ptx_emulator::stand_ins {

cublasStatus_t queue(cublasHandle_t handle, const char* function, std::function<void()> work) {
  return enqueue(handle->stream, std::move(work), function) == kCudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t queue_and_wait(cublasHandle_t handle, const char* function,
                              std::function<void()> work) {
  const cublasStatus_t status = queue(handle, function, std::move(work));
  const auto wait =
      reinterpret_cast<int (*)(cudaStream_t)>(runtime_function("cudaStreamSynchronize"));
  if (status != CUBLAS_STATUS_SUCCESS || wait == nullptr) return status;
  return wait(handle->stream) == kCudaSuccess ? CUBLAS_STATUS_SUCCESS
                                              : CUBLAS_STATUS_EXECUTION_FAILED;
}

Scalar scalar_of(cublasHandle_t handle, const void* pointer, NumberFormat format) {
  Scalar scalar;
  scalar.format = format;
  if (handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE) {
    scalar.device = pointer;
  } else {
    load(format, pointer, 1, &scalar.value);
  }
  return scalar;
}

double value_of(const Scalar& scalar) {
  return scalar.device != nullptr ? read_number(scalar.device, scalar.format, "factor")
                                  : scalar.value;
}

cublasStatus_t invalid(const char* function, const char* reason) {
  explain(function, reason);
  return CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace ptx_emulator::stand_ins

using namespace ptx_emulator::stand_ins;

namespace {

// Reads one field of the handle.
template <class Value>
cublasStatus_t get(cublasHandle_t handle, Value cublasContext::*field, Value* value) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *value = handle->*field;
  return CUBLAS_STATUS_SUCCESS;
}

template <class Value>
cublasStatus_t set(cublasHandle_t handle, Value cublasContext::*field, Value value) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->*field = value;
  return CUBLAS_STATUS_SUCCESS;
}

// Copies of vectors and matrices between host and device, element by element where they are
// strided.
cublasStatus_t copy_strided(const char* function, std::size_t element, const void* from,
                            std::int64_t from_step, void* to, std::int64_t to_step,
                            std::int64_t run, std::int64_t runs) {
  using Copy = int (*)(void*, std::size_t, const void*, std::size_t, std::size_t, std::size_t, int);
  constexpr int kDefaultDirection = 4;
  if (run < 0 || runs < 0 || element == 0 || from_step < run || to_step < run)
    return invalid(function, "a size or stride is not valid");
  if (run == 0 || runs == 0) return CUBLAS_STATUS_SUCCESS;
  const auto copy = reinterpret_cast<Copy>(runtime_function("cudaMemcpy2D"));
  if (copy == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const auto bytes = [&](std::int64_t elements) {
    return static_cast<std::size_t>(elements) * element;
  };
  return copy(to, bytes(to_step), from, bytes(from_step), bytes(run),
              static_cast<std::size_t>(runs), kDefaultDirection) == kCudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_MAPPING_ERROR;
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = new (std::nothrow) cublasContext;
  return *handle == nullptr ? CUBLAS_STATUS_ALLOC_FAILED : CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}
size_t cublasGetCudartVersion(void) {
  return CUDART_VERSION;
}
cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
  if (value == nullptr || type > PATCH_LEVEL) return CUBLAS_STATUS_INVALID_VALUE;
  constexpr int kVersion[] = {CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH};
  *value = kVersion[type];
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusName(cublasStatus_t status) {
  return cublas_status_name(status);
}
const char* cublasGetStatusString(cublasStatus_t status) {
  return cublas_status_string(status);
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  if (handle != nullptr) {  // the library goes back to its own workspace then
    handle->workspace = nullptr;
    handle->workspace_bytes = 0;
  }
  return set(handle, &cublasContext::stream, stream);
}
cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
  return get(handle, &cublasContext::stream, stream);
}
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE)
    return CUBLAS_STATUS_INVALID_VALUE;
  return set(handle, &cublasContext::pointer_mode, mode);
}
cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  return get(handle, &cublasContext::pointer_mode, mode);
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
  return set(handle, &cublasContext::atomics_mode, mode);
}
cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t* mode) {
  return get(handle, &cublasContext::atomics_mode, mode);
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return set(handle, &cublasContext::math_mode, mode);
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  return get(handle, &cublasContext::math_mode, mode);
}
cublasStatus_t cublasSetSmCountTarget(cublasHandle_t handle, int count) {
  return set(handle, &cublasContext::sm_count_target, count);
}
cublasStatus_t cublasGetSmCountTarget(cublasHandle_t handle, int* count) {
  return get(handle, &cublasContext::sm_count_target, count);
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0)
    return invalid(__func__, "the workspace is not aligned to 256 bytes");
  handle->workspace = workspace;
  handle->workspace_bytes = workspace == nullptr ? 0 : bytes;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetVector(int n, int element, const void* x, int incx, void* device,
                               int incy) {
  return copy_strided(__func__, static_cast<std::size_t>(element < 0 ? 0 : element), x, incx,
                      device, incy, 1, n);
}
cublasStatus_t cublasGetVector(int n, int element, const void* device, int incx, void* y,
                               int incy) {
  return copy_strided(__func__, static_cast<std::size_t>(element < 0 ? 0 : element), device, incx,
                      y, incy, 1, n);
}
cublasStatus_t cublasSetMatrix(int rows, int cols, int element, const void* A, int lda, void* B,
                               int ldb) {
  return copy_strided(__func__, static_cast<std::size_t>(element < 0 ? 0 : element), A, lda, B, ldb,
                      rows, cols);
}
cublasStatus_t cublasGetMatrix(int rows, int cols, int element, const void* A, int lda, void* B,
                               int ldb) {
  return copy_strided(__func__, static_cast<std::size_t>(element < 0 ? 0 : element), A, lda, B, ldb,
                      rows, cols);
}

}  // extern "C"
