#include <cublasLt.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/runtime_double.h"
#include "tests/ptx_emulator/tests/stand_in_test_matrix.h"

using namespace ptx_emulator::stand_ins;
using namespace ptx_emulator::test;

namespace {

struct Case {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cudaDataType scale = CUDA_R_32F;
  cudaDataType ab = CUDA_R_32F;
  cudaDataType cd = CUDA_R_32F;
  bool transa = false, transb = false;
  bool row_a = false, row_b = false, row_d = false;
  std::int64_t m = 32, n = 17, k = 48, batch = 1;
  double alpha = 1.5, beta = 0.5;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  bool in_place = false;
};

double gelu_exact(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double gelu_slope(double x) {
  return (gelu_exact(x + 1e-6) - gelu_exact(x - 1e-6)) / 2e-6;
}

// Half a unit in the last place of the format, relative, and the smallest step.
double rounding_of(NumberFormat format) {
  switch (format) {
    case NumberFormat::kFloat64:
      return 0x1p-53;
    case NumberFormat::kFloat32:
      return 0x1p-24;
    case NumberFormat::kFloat16:
      return 0x1p-11;
    case NumberFormat::kBfloat16:
      return 0x1p-8;
    default:
      return 0x1p-4;
  }
}

void check_near(double value, double expected, double error, NumberFormat format, const char* what,
                const Case& c) {
  const double step = format == NumberFormat::kFloat16 ? 0x1p-25 : is_integer(format) ? 0.5 : 0;
  const double limit = error + (std::fabs(expected) + error) * rounding_of(format) + step;
  if (std::fabs(value - expected) <= limit) return;
  FAIL(what << ": " << value << ", expected " << expected << " +- " << limit << " (epilogue "
            << c.epilogue << ", type " << c.ab << " -> " << c.cd << ", transposes " << c.transa
            << c.transb << ", rows " << c.row_a << c.row_b << c.row_d << ", batch " << c.batch
            << ")");
}

bool has(cublasLtEpilogue_t epilogue, int bit) {
  return (static_cast<int>(epilogue) & bit) != 0;
}

// Runs one case and holds every output against loops in double.
void check_case(const Case& c) {
  std::mt19937 random(static_cast<unsigned>(c.epilogue) * 31U + static_cast<unsigned>(c.ab));
  TestMatrix a(c.ab, c.row_a, c.transa ? c.k : c.m, c.transa ? c.m : c.k, c.batch);
  TestMatrix b(c.ab, c.row_b, c.transb ? c.n : c.k, c.transb ? c.k : c.n, c.batch);
  TestMatrix d(c.cd, c.row_d, c.m, c.n, c.batch);
  TestMatrix other(c.cd, c.row_d, c.m, c.n, c.batch);
  TestMatrix& source = c.in_place ? d : other;
  for (TestMatrix* matrix : {&a, &b, &source}) matrix->fill(random);
  std::vector<double> before;
  for (std::int64_t x = 0; x < c.batch; ++x) {
    for (std::int64_t j = 0; j < c.n; ++j) {
      for (std::int64_t i = 0; i < c.m; ++i) before.push_back(source.get(x, i, j));
    }
  }
  const bool bits = has(c.epilogue, 2) || has(c.epilogue, 8);
  const bool with_aux = has(c.epilogue, 128);
  const bool backward = has(c.epilogue, 8) || has(c.epilogue, 64);
  TestMatrix aux(c.cd, false, c.m, c.n, c.batch, 16);
  aux.fill(random);
  const std::int64_t mask_ld = 128;
  DeviceArray<std::uint8_t> mask(
      std::vector<std::uint8_t>(static_cast<std::size_t>(mask_ld * c.n / 8 * c.batch + 16), 0xa5));
  TestMatrix bias(c.cd == CUDA_R_8I ? CUDA_R_32F : c.cd, false, std::max(c.m, c.n), 1, c.batch, 0);
  bias.fill(random);

  Handle handle;
  cublasLtMatmulDesc_t op = nullptr;
  REQUIRE(cublasLtMatmulDescCreate(&op, c.compute, c.scale) == CUBLAS_STATUS_SUCCESS);
  set(op, CUBLASLT_MATMUL_DESC_TRANSA, c.transa ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(op, CUBLASLT_MATMUL_DESC_TRANSB, c.transb ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(op, CUBLASLT_MATMUL_DESC_EPILOGUE, c.epilogue);
  set(op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.buffer->data());
  set(op, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, bias.stride);
  set(op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER,
      bits ? static_cast<void*>(mask.data()) : aux.buffer->data());
  set(op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, bits ? mask_ld : aux.ld);
  set(op, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, bits ? mask_ld * c.n : aux.stride);
  cublasLtMatrixLayout_t la = a.layout();
  cublasLtMatrixLayout_t lb = b.layout();
  cublasLtMatrixLayout_t ld = d.layout();
  std::byte alpha[8];
  std::byte beta[8];
  store(*format_of_cuda_type(c.scale), &c.alpha, 1, alpha);
  store(*format_of_cuda_type(c.scale), &c.beta, 1, beta);
  double alpha_value = 0;
  double beta_value = 0;
  load(*format_of_cuda_type(c.scale), alpha, 1, &alpha_value);
  load(*format_of_cuda_type(c.scale), beta, 1, &beta_value);
  REQUIRE(cublasLtMatmul(handle.value, op, alpha, a.buffer->data(), la, b.buffer->data(), lb, beta,
                         source.buffer->data(), ld, d.buffer->data(), ld, nullptr, nullptr, 0,
                         nullptr) == CUBLAS_STATUS_SUCCESS);
  for (cublasLtMatrixLayout_t layout : {la, lb, ld}) cublasLtMatrixLayoutDestroy(layout);
  cublasLtMatmulDescDestroy(op);
  REQUIRE(take_faults().empty());

  const double unit = c.compute == CUBLAS_COMPUTE_64F ? 0x1p-53 : 0x1p-24;
  const auto mask_bit = [&](std::int64_t x, std::int64_t i, std::int64_t j) {
    const std::int64_t bit = x * mask_ld * c.n + i + j * mask_ld;
    return ((mask.data()[bit / 8] >> (bit % 8)) & 1) != 0;
  };
  for (std::int64_t x = 0; x < c.batch; ++x) {
    std::vector<double> gradient(static_cast<std::size_t>(c.m));
    std::vector<double> gradient_error(static_cast<std::size_t>(c.m));
    for (std::int64_t j = 0; j < c.n; ++j) {
      for (std::int64_t i = 0; i < c.m; ++i) {
        double sum = 0;
        double magnitude = 0;
        for (std::int64_t l = 0; l < c.k; ++l) {
          const double term = (c.transa ? a.get(x, l, i) : a.get(x, i, l)) *
                              (c.transb ? b.get(x, j, l) : b.get(x, l, j));
          sum += term;
          magnitude += std::fabs(term);
        }
        const double old = before[static_cast<std::size_t>(x * c.m * c.n + j * c.m + i)];
        double value = alpha_value * sum + beta_value * old;
        magnitude = std::fabs(alpha_value) * magnitude + std::fabs(beta_value * old);
        if (has(c.epilogue, 4)) {
          value += bias.get(x, i, 0);
          magnitude += std::fabs(bias.get(x, i, 0));
        }
        double error = static_cast<double>(c.k + 4) * unit * magnitude;
        if (with_aux && !backward && bits && std::fabs(value) > error)
          REQUIRE(mask_bit(x, i, j) == (value > 0));
        if (with_aux && !backward && !bits)
          check_near(aux.get(x, i, j), value, error, aux.format(), "aux", c);
        if (has(c.epilogue, 2)) value = std::max(value, 0.0);
        if (has(c.epilogue, 8)) value = mask_bit(x, i, j) ? value : 0.0;
        if (has(c.epilogue, 32)) {
          value = gelu_exact(value);
          error = error * 1.2 + 8 * unit * (std::fabs(value) + 1);
        }
        if (has(c.epilogue, 64)) {
          const double slope = gelu_slope(aux.get(x, i, j));
          error = error * 1.2 + 16 * unit * (std::fabs(value) + 1) + 1e-9 * std::fabs(value);
          value *= slope;
        }
        gradient[static_cast<std::size_t>(i)] += value;
        gradient_error[static_cast<std::size_t>(i)] +=
            error + static_cast<double>(c.n) * unit * std::fabs(value);
        check_near(d.get(x, i, j), value, error, d.format(), "D", c);
      }
    }
    for (std::int64_t i = 0; i < c.m && has(c.epilogue, 16); ++i) {
      check_near(bias.get(x, i, 0), gradient[static_cast<std::size_t>(i)],
                 gradient_error[static_cast<std::size_t>(i)], bias.format(), "bias gradient", c);
    }
    const bool of_a = c.epilogue == CUBLASLT_EPILOGUE_BGRADA;
    for (std::int64_t i = 0;
         i < (of_a ? c.m : c.n) && (of_a || c.epilogue == CUBLASLT_EPILOGUE_BGRADB); ++i) {
      double sum = 0;
      for (std::int64_t l = 0; l < c.k; ++l) {
        sum += of_a ? (c.transa ? a.get(x, l, i) : a.get(x, i, l))
                    : (c.transb ? b.get(x, i, l) : b.get(x, l, i));
      }
      check_near(bias.get(x, i, 0), sum, static_cast<double>(c.k * c.k) * unit, bias.format(),
                 "operand sum", c);
    }
  }
}

}  // namespace

TEST_CASE("cublasLtMatmul matches double loops for every transpose, order and batch", "[ptx]") {
  for (int number = 0; number < 32; ++number) {
    Case c;
    c.transa = (number & 1) != 0;
    c.transb = (number & 2) != 0;
    c.row_a = (number & 4) != 0;
    c.row_b = (number & 8) != 0;
    c.row_d = (number & 16) != 0;
    c.batch = number % 3 + 1;
    c.in_place = number % 2 != 0;
    check_case(c);
  }
}

TEST_CASE("cublasLtMatmul matches double loops for every type", "[ptx]") {
  const Case cases[] = {
      {.ab = CUDA_R_16BF, .cd = CUDA_R_16BF},
      {.ab = CUDA_R_16F, .cd = CUDA_R_16F},
      {.ab = CUDA_R_16BF, .cd = CUDA_R_32F},
      {.ab = CUDA_R_16F, .cd = CUDA_R_32F},
      {.ab = CUDA_R_8I, .cd = CUDA_R_32F},
      {.compute = CUBLAS_COMPUTE_16F, .scale = CUDA_R_16F, .ab = CUDA_R_16F, .cd = CUDA_R_16F},
      {.compute = CUBLAS_COMPUTE_64F, .scale = CUDA_R_64F, .ab = CUDA_R_64F, .cd = CUDA_R_64F},
      {.compute = CUBLAS_COMPUTE_32I,
       .scale = CUDA_R_32I,
       .ab = CUDA_R_8I,
       .cd = CUDA_R_32I,
       .alpha = 1,
       .beta = 1},
      {.compute = CUBLAS_COMPUTE_32I,
       .scale = CUDA_R_32F,
       .ab = CUDA_R_8I,
       .cd = CUDA_R_8I,
       .alpha = 0.01,
       .beta = 1},
  };
  for (Case c : cases) {
    check_case(c);
    c.m = 1;
    c.n = 1;
    c.k = 1;
    check_case(c);
  }
}

TEST_CASE("cublasLtMatmul applies every epilogue", "[ptx]") {
  for (const cublasLtEpilogue_t epilogue :
       {CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_AUX, CUBLASLT_EPILOGUE_BIAS,
        CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_AUX_BIAS, CUBLASLT_EPILOGUE_DRELU,
        CUBLASLT_EPILOGUE_DRELU_BGRAD, CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_AUX,
        CUBLASLT_EPILOGUE_GELU_BIAS, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_DGELU,
        CUBLASLT_EPILOGUE_DGELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB}) {
    for (const cudaDataType type : {CUDA_R_32F, CUDA_R_16BF, CUDA_R_16F}) {
      Case c;
      c.epilogue = epilogue;
      c.ab = type;
      c.cd = type;
      c.batch = type == CUDA_R_16F ? 2 : 1;
      c.transa = type != CUDA_R_16F;
      c.transb = type == CUDA_R_16BF;
      check_case(c);
    }
  }
}
