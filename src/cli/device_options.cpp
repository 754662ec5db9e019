#include "src/cli/device_options.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/core/log.h"

namespace ovid::cli {
namespace {

memory::DeviceRequest request_of(const std::string& word) {
  if (word == "auto") return memory::DeviceRequest::kAuto;
  if (word == "cpu") return memory::DeviceRequest::kCpu;
  if (word == "cuda") return memory::DeviceRequest::kCuda;
  throw UsageError(fmt::format("--device {} is none of auto, cpu, cuda", word));
}

}  // namespace

kernels::DType dtype_of(const std::string& word) {
  using kernels::DType;
  for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kFloat16}) {
    if (word == name_of(dtype)) return dtype;
  }
  throw UsageError(fmt::format("--precision {} is none of float32, bfloat16, float16", word));
}

memory::OpenTarget open_target(const DeviceOptions& options) {
  memory::OpenTarget open = memory::open_target({.device = request_of(options.device),
                                                 .index = options.index,
                                                 .threads = options.threads,
                                                 .dtype = dtype_of(options.precision)});
  if (open.device != nullptr) log::info(fmt::format("on {}", open.description));
  return open;
}

}  // namespace ovid::cli
