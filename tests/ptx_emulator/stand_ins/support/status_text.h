#pragma once
// Names of cublasStatus_t, for both libraries.

namespace ptx_emulator::stand_ins {

const char* cublas_status_name(int status);    // "CUBLAS_STATUS_SUCCESS"
const char* cublas_status_string(int status);  // a sentence

}  // namespace ptx_emulator::stand_ins
