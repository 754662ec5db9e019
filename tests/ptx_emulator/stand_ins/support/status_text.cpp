#include "tests/ptx_emulator/stand_ins/support/status_text.h"

namespace ptx_emulator::stand_ins {
namespace {

struct Row {
  int status;
  const char* name;
  const char* sentence;
};
constexpr Row kRows[] = {
    {0, "CUBLAS_STATUS_SUCCESS", "success"},
    {1, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {3, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {7, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {8, "CUBLAS_STATUS_ARCH_MISMATCH", "the function needs a feature that the device lacks"},
    {11, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
    {13, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute"},
    {14, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {15, "CUBLAS_STATUS_NOT_SUPPORTED", "the functionality requested is not supported"},
    {16, "CUBLAS_STATUS_LICENSE_ERROR", "the functionality requested needs a license"},
};

}  // namespace

const char* cublas_status_name(int status) {
  for (const Row& row : kRows) {
    if (row.status == status) return row.name;
  }
  return "CUBLAS_STATUS_UNKNOWN";
}

const char* cublas_status_string(int status) {
  for (const Row& row : kRows) {
    if (row.status == status) return row.sentence;
  }
  return "unknown status";
}

}  // namespace ptx_emulator::stand_ins
