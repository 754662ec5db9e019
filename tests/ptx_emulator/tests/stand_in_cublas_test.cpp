#include <cublas_v2.h>
#include <dlfcn.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/stand_ins/nvml/nvml_types.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"
#include "tests/ptx_emulator/tests/runtime_double.h"

using namespace ptx_emulator::stand_ins;
using ptx_emulator::test::DeviceArray;
using ptx_emulator::test::DeviceBuffer;
using ptx_emulator::test::take_faults;

namespace {

std::vector<float> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> values(count);
  for (float& value : values) value = uniform(random);
  return values;
}

struct Handle {
  cublasHandle_t value = nullptr;
  Handle() { cublasCreate(&value); }
  ~Handle() { cublasDestroy(value); }
};

struct Sizes {
  int m = 13, n = 9, k = 21, lda = 24, ldb = 25, ldc = 16;
};

// alpha op(A) op(B) + beta C in double.
std::vector<double> expected(const Sizes& s, bool ta, bool tb, double alpha,
                             const std::vector<float>& a, const std::vector<float>& b, double beta,
                             const std::vector<float>& c) {
  std::vector<double> result(c.begin(), c.end());
  for (int j = 0; j < s.n; ++j) {
    for (int i = 0; i < s.m; ++i) {
      double sum = 0;
      for (int l = 0; l < s.k; ++l) {
        sum +=
            static_cast<double>(a[static_cast<std::size_t>(ta ? l + i * s.lda : i + l * s.lda)]) *
            static_cast<double>(b[static_cast<std::size_t>(tb ? j + l * s.ldb : l + j * s.ldb)]);
      }
      double& value = result[static_cast<std::size_t>(i + j * s.ldc)];
      value = alpha * sum + beta * value;
    }
  }
  return result;
}

void check_near(const std::vector<float>& values, const std::vector<double>& wanted, double error) {
  REQUIRE(values.size() == wanted.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::fabs(static_cast<double>(values[i]) - wanted[i]) > error)
      FAIL("element " << i << ": " << values[i] << ", not " << wanted[i]);
  }
}

constexpr double kError = 1e-5;  // 25 products of numbers below 1: under 30 roundings of 2^-24 each

}  // namespace

TEST_CASE("cublas products match double loops", "[ptx]") {
  const Handle h;
  const Sizes s;
  const std::vector<float> a = random_values(24 * 24, 1);
  const std::vector<float> b = random_values(25 * 25, 2);
  const std::vector<float> c = random_values(16 * 9, 3);
  const DeviceArray<float> da(a);
  const DeviceArray<float> db(b);
  const float alpha = 1.5F;
  const float beta = -0.5F;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      const cublasOperation_t oa = ta ? CUBLAS_OP_T : CUBLAS_OP_N;
      const cublasOperation_t ob = tb ? CUBLAS_OP_T : CUBLAS_OP_N;
      const std::vector<double> wanted = expected(s, ta, tb, 1.5, a, b, -0.5, c);
      const DeviceArray<float> one(c);
      REQUIRE(cublasSgemm(h.value, oa, ob, s.m, s.n, s.k, &alpha, da.data(), s.lda, db.data(),
                          s.ldb, &beta, one.data(), s.ldc) == CUBLAS_STATUS_SUCCESS);
      check_near(one.values(), wanted, kError);
      const DeviceArray<float> two(c);
      const DeviceArray<const float*> pa({da.data()});
      const DeviceArray<const float*> pb({db.data()});
      const DeviceArray<float*> pc({two.data()});
      REQUIRE(cublasSgemmBatched(h.value, oa, ob, s.m, s.n, s.k, &alpha, pa.data(), s.lda,
                                 pb.data(), s.ldb, &beta, pc.data(), s.ldc,
                                 1) == CUBLAS_STATUS_SUCCESS);
      check_near(two.values(), wanted, kError);
      const DeviceArray<float> three(c);
      REQUIRE(cublasGemmStridedBatchedEx(
                  h.value, oa, ob, s.m, s.n, s.k, &alpha, da.data(), CUDA_R_32F, s.lda, 0,
                  db.data(), CUDA_R_32F, s.ldb, 0, &beta, three.data(), CUDA_R_32F, s.ldc, 0, 1,
                  CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS);
      check_near(three.values(), wanted, kError);
    }
  }
  CHECK(cublasSgemm(h.value, CUBLAS_OP_N, CUBLAS_OP_N, 13, 9, 21, &alpha, da.data(), 12, db.data(),
                    25, &beta, da.data(), 16) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(cublasGemmEx(h.value, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &alpha, da.data(), CUDA_C_32F, 1,
                     db.data(), CUDA_C_32F, 1, &beta, da.data(), CUDA_C_32F, 1, CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(take_faults().empty());
}

TEST_CASE("cublas batches walk by their strides, and TF32 rounds inputs when asked", "[ptx]") {
  const Handle h;
  const float one = 1;
  const float zero = 0;
  const DeviceArray<float> a({1.0F + 0x1p-12F, 9, 2, 9, 3});
  const DeviceArray<float> b({10, 100, 1000});
  const DeviceArray<float> c({0, 7, 0, 7, 0});
  REQUIRE(cublasSgemmStridedBatched(h.value, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), 1,
                                    2, b.data(), 1, 1, &zero, c.data(), 1, 2,
                                    3) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.values() == std::vector<float>{10.0F * (1.0F + 0x1p-12F), 7, 200, 7, 3000});
  cublasSetMathMode(h.value, CUBLAS_TF32_TENSOR_OP_MATH);
  REQUIRE(cublasSgemm(h.value, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, a.data(), 1, b.data(), 1,
                      &zero, c.data(), 1) == CUBLAS_STATUS_SUCCESS);
  CHECK(c.data()[0] == 10.0F);
}

TEST_CASE("cublas vector functions match plain loops in both pointer modes", "[ptx]") {
  const Handle h;
  const DeviceArray<float> x({1, -2, 3, -4, 5, -6});
  const DeviceArray<float> y({1, 1, 1, 1, 1, 1});
  float result = 0;
  int index = 0;
  REQUIRE(cublasSdot(h.value, 3, x.data(), 2, y.data(), 1, &result) == CUBLAS_STATUS_SUCCESS);
  CHECK(result == 9);
  cublasSasum(h.value, 6, x.data(), 1, &result);
  CHECK(result == 21);
  cublasSnrm2(h.value, 6, x.data(), 1, &result);
  CHECK(result == Approx(std::sqrt(91.0)));
  cublasIsamax(h.value, 6, x.data(), 1, &index);
  CHECK(index == 6);
  cublasIsamin(h.value, 6, x.data(), 1, &index);
  CHECK(index == 1);
  const float two = 2;
  REQUIRE(cublasSaxpy(h.value, 3, &two, x.data(), -2, y.data(), 1) ==
          CUBLAS_STATUS_SUCCESS);  // backwards: 5, 3, 1
  CHECK(y.values() == std::vector<float>{11, 7, 3, 1, 1, 1});
  cublasSscal(h.value, 2, &two, y.data(), 1);
  CHECK(y.values() == std::vector<float>{22, 14, 3, 1, 1, 1});
  cublasScopy(h.value, 2, x.data(), 1, y.data() + 4, 1);
  CHECK(y.values() == std::vector<float>{22, 14, 3, 1, 1, -2});
  cublasSetPointerMode(h.value, CUBLAS_POINTER_MODE_DEVICE);
  const DeviceArray<float> factors({3, 0});
  cublasSdot(h.value, 2, x.data(), 1, x.data(), 1, factors.data() + 1);
  CHECK(factors.data()[1] == 5);
  cublasSscal(h.value, 1, factors.data(), y.data(), 1);
  CHECK(y.data()[0] == 66);
  cublasSetPointerMode(h.value, CUBLAS_POINTER_MODE_HOST);
  const float zero = 0;
  const DeviceArray<float> z({NAN, NAN});
  REQUIRE(cublasSgemv(h.value, CUBLAS_OP_N, 2, 3, &two, x.data(), 2, factors.data(), 0 + 1, &zero,
                      z.data(), 1) == CUBLAS_STATUS_SUCCESS);
  CHECK(take_faults().size() == 1);  // x has three elements, the factors are two
  const DeviceArray<float> ones({1, 1, 1});
  cublasSgemv(h.value, CUBLAS_OP_N, 2, 3, &two, x.data(), 2, ones.data(), 1, &zero, z.data(), 1);
  CHECK(z.values() == std::vector<float>{18, -24});
  cublasSgemv(h.value, CUBLAS_OP_T, 3, 2, &two, x.data(), 3, ones.data(), 1, &zero, z.data(), 1);
  CHECK(z.values() == std::vector<float>{4, -10});
  const DeviceArray<float> sum(std::vector<float>(6, 0.0F));
  const float one = 1;
  cublasSgeam(h.value, CUBLAS_OP_T, CUBLAS_OP_N, 2, 3, &one, x.data(), 3, &two, x.data(), 2,
              sum.data(), 2);
  CHECK(sum.values() == std::vector<float>{3, -8, 4, -3, 13, -18});
  CHECK(take_faults().empty());
}

TEST_CASE("functions that the stand-in of cublas lacks say so", "[ptx]") {
  const auto absent = reinterpret_cast<int (*)(...)>(dlsym(RTLD_DEFAULT, "cublasCherk_v2"));
  if (absent == nullptr) {
    WARN("skipped: built without the real library's list of names");
    return;
  }
  CHECK(absent() == CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_CASE("NVML describes the device that is played", "[ptx]") {
  setenv("PTX_EMULATOR_DEVICES", "2", 1);
  unsigned count = 0;
  CHECK(nvmlDeviceGetCount_v2(&count) == NVML_ERROR_UNINITIALIZED);
  REQUIRE(nvmlInit_v2() == NVML_SUCCESS);
  REQUIRE(nvmlDeviceGetCount_v2(&count) == NVML_SUCCESS);
  CHECK(count == 2);
  nvmlDevice_t device = nullptr;
  CHECK(nvmlDeviceGetHandleByIndex_v2(2, &device) == NVML_ERROR_INVALID_ARGUMENT);
  REQUIRE(nvmlDeviceGetHandleByIndex_v2(1, &device) == NVML_SUCCESS);
  char name[64];
  REQUIRE(nvmlDeviceGetName(device, name, sizeof name) == NVML_SUCCESS);
  CHECK(std::string(name).find("A100") != std::string::npos);
  CHECK(nvmlDeviceGetName(device, name, 4) == NVML_ERROR_INSUFFICIENT_SIZE);
  CHECK(nvmlDeviceGetName(nullptr, name, sizeof name) == NVML_ERROR_INVALID_ARGUMENT);
  char uuid[64];
  REQUIRE(nvmlDeviceGetUUID(device, uuid, sizeof uuid) == NVML_SUCCESS);
  nvmlDevice_t same = nullptr;
  REQUIRE(nvmlDeviceGetHandleByUUID(uuid, &same) == NVML_SUCCESS);
  CHECK(same == device);
  nvmlPciInfo_t pci{};
  REQUIRE(nvmlDeviceGetPciInfo_v3(device, &pci) == NVML_SUCCESS);
  CHECK(nvmlDeviceGetPciInfo_v3(nullptr, &pci) == NVML_ERROR_INVALID_ARGUMENT);
  REQUIRE(nvmlDeviceGetHandleByPciBusId_v2(pci.busId, &same) == NVML_SUCCESS);
  CHECK(same == device);
  nvmlMemory_t memory{};
  REQUIRE(nvmlDeviceGetMemoryInfo(device, &memory) == NVML_SUCCESS);
  CHECK(memory.used + memory.free == memory.total);
  CHECK(nvmlShutdown() == NVML_SUCCESS);
  CHECK(nvmlShutdown() == NVML_ERROR_UNINITIALIZED);
  unsetenv("PTX_EMULATOR_DEVICES");
}
