#include <dlfcn.h>

#include <cstdlib>

#include "kernels/common/errors.h"
#include "kernels/cuda/cudnn_attention.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

// The optional module libovid_cudnn.so, as far as it goes without cuDNN's own device code: the
// emulator of PTX does not run cuDNN, so its numbers are checked by `ovid selftest` on a GPU.
namespace ovid::kernels::cuda {

namespace {

const CudnnModule& module() {
  const char* path = std::getenv("OVID_CUDNN_MODULE");
  REQUIRE(path != nullptr);
  void* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  INFO((library == nullptr ? ::dlerror() : ""));
  REQUIRE(library != nullptr);
  const auto entry =
      reinterpret_cast<const CudnnModule* (*)()>(::dlsym(library, "ovid_cudnn_module"));
  REQUIRE(entry != nullptr);
  return *entry();
}

}  // namespace

TEST_CASE("cuDNN's front end accepts both graphs of GPT-2's attention", "[kernels][cuda]") {
  if (test::cuda_device() == nullptr) return;
  CHECK(std::string(module().interface) == kCudnnInterface);
  for (const DType dtype : {DType::kBfloat16, DType::kFloat16}) {
    for (const std::int64_t heads : {12, 25}) {
      CHECK_NOTHROW(module().validate({2, 1024, heads, 64, dtype}));
    }
    CHECK_NOTHROW(module().validate({1, 77, 2, 64, dtype}));
  }
}

TEST_CASE("cuDNN's front end names what it does not take, and the cure", "[kernels][cuda]") {
  if (test::cuda_device() == nullptr) return;
  CHECK_THROWS_WITH(module().validate({1, 64, 2, 7, DType::kBfloat16}),
                    Catch::Contains("D 7") && Catch::Contains("set attention: flash"));
}

}  // namespace ovid::kernels::cuda
