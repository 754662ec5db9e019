#include <cublasLt.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/runtime_double.h"
#include "tests/ptx_emulator/tests/stand_in_test_matrix.h"

using namespace ptx_emulator::stand_ins;
using namespace ptx_emulator::test;

namespace {

// Square float matrices with everything set up, for calls that go wrong.
struct Setup {
  Handle handle;
  TestMatrix a{CUDA_R_32F, false, 32, 32, 1}, b{CUDA_R_32F, false, 32, 32, 1},
      d{CUDA_R_32F, false, 32, 32, 1};
  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatrixLayout_t la = a.layout(), lb = b.layout(), ld = d.layout();
  float alpha = 1, beta = 0;

  Setup() {
    std::mt19937 random(1);
    a.fill(random);
    b.fill(random);
    cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  }
  ~Setup() {
    for (cublasLtMatrixLayout_t layout : {la, lb, ld}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulDescDestroy(op);
  }
  cublasStatus_t run(const cublasLtMatmulAlgo_t* algorithm = nullptr, void* workspace = nullptr,
                     std::size_t bytes = 0, std::size_t shift = 0) {
    return cublasLtMatmul(handle.value, op, &alpha,
                          static_cast<std::byte*>(a.buffer->data()) + shift, la, b.buffer->data(),
                          lb, &beta, d.buffer->data(), ld, d.buffer->data(), ld, algorithm,
                          workspace, bytes, nullptr);
  }
};

}  // namespace

TEST_CASE("cublasLtMatmul refuses what the library refuses", "[ptx]") {
  Setup s;
  REQUIRE(s.run() == CUBLAS_STATUS_SUCCESS);
  SECTION("an auxiliary leading dimension that is not a multiple of 8") {
    set(s.op, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU_AUX);
    set(s.op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, s.b.buffer->data());
    set(s.op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{33});
    CHECK(s.run() == CUBLAS_STATUS_INVALID_VALUE);
    set(s.op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{32});
    CHECK(s.run() == CUBLAS_STATUS_SUCCESS);
  }
  SECTION("a bias epilogue without a bias") {
    set(s.op, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    CHECK(s.run() == CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("shapes that do not fit, small leading dimensions, unknown types") {
    std::uint64_t rows = 31;
    cublasLtMatrixLayoutSetAttribute(s.lb, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows);
    CHECK(s.run() == CUBLAS_STATUS_INVALID_VALUE);
    rows = 32;
    cublasLtMatrixLayoutSetAttribute(s.lb, CUBLASLT_MATRIX_LAYOUT_ROWS, &rows, sizeof rows);
    std::int64_t leading = 31;
    cublasLtMatrixLayoutSetAttribute(s.la, CUBLASLT_MATRIX_LAYOUT_LD, &leading, sizeof leading);
    CHECK(s.run() == CUBLAS_STATUS_INVALID_VALUE);
    leading = 32;
    cublasLtMatrixLayoutSetAttribute(s.la, CUBLASLT_MATRIX_LAYOUT_LD, &leading, sizeof leading);
    std::uint32_t type = CUDA_C_32F;
    cublasLtMatrixLayoutSetAttribute(s.la, CUBLASLT_MATRIX_LAYOUT_TYPE, &type, sizeof type);
    CHECK(s.run() == CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK(cublasLtMatrixLayoutSetAttribute(s.la, CUBLASLT_MATRIX_LAYOUT_TYPE, &type, 8) ==
          CUBLAS_STATUS_INVALID_VALUE);
  }
  SECTION("fp8 on a device without it") {
    for (cublasLtMatrixLayout_t layout : {s.la, s.lb}) {
      std::uint32_t type = CUDA_R_8F_E4M3;
      cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_TYPE, &type, sizeof type);
    }
    CHECK(s.run() == CUBLAS_STATUS_NOT_SUPPORTED);
  }
  CHECK(take_faults().empty());
}

TEST_CASE("cublasLtMatmul faults where an operand leaves its allocation", "[ptx]") {
  Setup s;
  TestMatrix small(CUDA_R_32F, false, 32, 8, 1, 0);
  s.beta = 0;
  REQUIRE(cublasLtMatmul(s.handle.value, s.op, &s.alpha, small.buffer->data(), s.la,
                         s.b.buffer->data(), s.lb, &s.beta, s.d.buffer->data(), s.ld,
                         s.d.buffer->data(), s.ld, nullptr, nullptr, 0,
                         nullptr) == CUBLAS_STATUS_SUCCESS);
  const auto faults = take_faults();
  REQUIRE(faults.size() == 1);
  CHECK(faults[0].find("cublasLtMatmul: A:") != std::string::npos);
}

TEST_CASE("cublasLt heuristics, configuration and workspace agree with each other", "[ptx]") {
  Setup s;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulPreferenceCreate(&preference);
  std::uint64_t limit = 1 << 20;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit,
                                       sizeof limit);
  cublasLtMatmulHeuristicResult_t results[8] = {};
  int found = 0;
  REQUIRE(cublasLtMatmulAlgoGetHeuristic(s.handle.value, s.op, s.la, s.lb, s.ld, s.ld, preference,
                                         8, results, &found) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(found >= 4);
  DeviceBuffer workspace(1 << 20);
  for (int i = 0; i < found; ++i) {
    cublasLtMatmulHeuristicResult_t checked{};
    CHECK(cublasLtMatmulAlgoCheck(s.handle.value, s.op, s.la, s.lb, s.ld, s.ld, &results[i].algo,
                                  &checked) == CUBLAS_STATUS_SUCCESS);
    CHECK(checked.workspaceSize == results[i].workspaceSize);
    CHECK(s.run(&results[i].algo, workspace.data(), workspace.bytes()) == CUBLAS_STATUS_SUCCESS);
    if (results[i].workspaceSize > 0)
      CHECK(s.run(&results[i].algo, workspace.data(), results[i].workspaceSize - 1) ==
            CUBLAS_STATUS_INVALID_VALUE);
    CHECK(s.run(&results[i].algo, static_cast<std::byte*>(workspace.data()) + 16, 4096) ==
          CUBLAS_STATUS_INVALID_VALUE);
    std::uint32_t alignment = 0;
    std::size_t written = 0;
    cublasLtMatmulAlgoCapGetAttribute(&results[i].algo, CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES,
                                      &alignment, sizeof alignment, &written);
    CHECK(s.run(&results[i].algo, workspace.data(), workspace.bytes(), 4) ==
          (alignment > 4 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS));
  }
  CHECK(s.run(nullptr, nullptr, 0, 4) ==
        CUBLAS_STATUS_SUCCESS);  // unaligned: another algorithm is chosen
  CHECK(s.run(nullptr, nullptr, 0, 2) != CUBLAS_STATUS_SUCCESS);  // no float lies there
  limit = 0;
  cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit,
                                       sizeof limit);
  const int with_workspace = found;
  REQUIRE(cublasLtMatmulAlgoGetHeuristic(s.handle.value, s.op, s.la, s.lb, s.ld, s.ld, preference,
                                         8, results, &found) == CUBLAS_STATUS_SUCCESS);
  CHECK(found < with_workspace);
  cublasLtMatmulPreferenceDestroy(preference);
  CHECK(take_faults().empty());
}

TEST_CASE("cublasLtMatmul reads host factors at the call and device factors when it runs",
          "[ptx]") {
  Setup s;
  defer_work(true);
  s.alpha = 2;
  REQUIRE(s.run() == CUBLAS_STATUS_SUCCESS);
  s.alpha = 100;
  run_queued();
  const double with_two = s.d.get(0, 3, 4);
  DeviceArray<float> factors({1.0F, 0.0F});
  set(s.op, CUBLASLT_MATMUL_DESC_POINTER_MODE, CUBLASLT_POINTER_MODE_DEVICE);
  REQUIRE(cublasLtMatmul(s.handle.value, s.op, factors.data(), s.a.buffer->data(), s.la,
                         s.b.buffer->data(), s.lb, factors.data() + 1, s.d.buffer->data(), s.ld,
                         s.d.buffer->data(), s.ld, nullptr, nullptr, 0,
                         nullptr) == CUBLAS_STATUS_SUCCESS);
  factors.data()[0] = 4;
  run_queued();
  defer_work(false);
  CHECK(s.d.get(0, 3, 4) == Approx(2 * with_two));
}

TEST_CASE("cublasLt fp8 products use scales and report maxima on an H100", "[ptx]") {
  setenv("PTX_EMULATOR_DEVICE", "h100", 1);
  std::mt19937 random(5);
  TestMatrix a(CUDA_R_8F_E4M3, false, 32, 16, 1);
  TestMatrix b(CUDA_R_8F_E5M2, false, 32, 8, 1);
  TestMatrix c(CUDA_R_16BF, false, 16, 8, 1);
  TestMatrix d(CUDA_R_8F_E4M3, false, 16, 8, 1);
  for (TestMatrix* matrix : {&a, &b, &c}) matrix->fill(random);
  DeviceArray<float> numbers({2.0F, 0.5F, 3.0F, 0.0F});
  Handle handle;
  cublasLtMatmulDesc_t op = nullptr;
  cublasLtMatmulDescCreate(&op, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  set(op, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
  set(op, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, numbers.data());
  set(op, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, numbers.data() + 1);
  set(op, CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, numbers.data() + 2);
  set(op, CUBLASLT_MATMUL_DESC_AMAX_D_POINTER, numbers.data() + 3);
  cublasLtMatrixLayout_t layouts[4] = {a.layout(), b.layout(), c.layout(), d.layout()};
  const float alpha = 1;
  const float beta = 1;
  REQUIRE(cublasLtMatmul(handle.value, op, &alpha, a.buffer->data(), layouts[0], b.buffer->data(),
                         layouts[1], &beta, c.buffer->data(), layouts[2], d.buffer->data(),
                         layouts[3], nullptr, nullptr, 0, nullptr) == CUBLAS_STATUS_SUCCESS);
  double largest = 0;
  for (std::int64_t j = 0; j < 8; ++j) {
    for (std::int64_t i = 0; i < 16; ++i) {
      double value = c.get(0, i, j);
      for (std::int64_t l = 0; l < 32; ++l) value += a.get(0, l, i) * b.get(0, l, j);
      largest = std::max(largest, std::fabs(value));
      CHECK(std::fabs(d.get(0, i, j) - 3 * value) <= 3 * std::fabs(value) / 16 + 0x1p-9);
    }
  }
  CHECK(numbers.data()[3] == Approx(largest).epsilon(1e-5));
  for (cublasLtMatrixLayout_t layout : layouts) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(op);
  unsetenv("PTX_EMULATOR_DEVICE");
}
