#include "tests/ptx_emulator/stand_ins/support/matrix_product.h"

#include <cstring>
#include <vector>

#include "tests/ptx_emulator/stand_ins/support/blas.h"
#include "tests/ptx_emulator/stand_ins/support/epilogue.h"
#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

double factor(const void* device, const char* what) {
  return device == nullptr ? 1.0 : read_number(device, NumberFormat::kFloat32, what);
}

// alpha or beta of every row; one entry where it is a single number.
template <class Real>
std::vector<Real> scalar_values(const Scalar& scalar, std::int64_t rows, std::int64_t index,
                                double scale, const char* what) {
  std::vector<Real> values(scalar.per_row ? static_cast<std::size_t>(rows) : 1,
                           static_cast<Real>(scalar.value));
  if (scalar.device != nullptr) {
    const auto* const at = static_cast<const std::byte*>(scalar.device) +
                           (scalar.per_row ? scalar.batch_stride * index : 0) *
                               static_cast<std::int64_t>(bytes_of(scalar.format));
    load(scalar.format, host_pointer(at, values.size() * bytes_of(scalar.format), what),
         values.size(), values.data());
  }
  for (Real& value : values) value *= static_cast<Real>(scale);
  return values;
}

template <class Real>
bool all_zero(const std::vector<Real>& values) {
  for (const Real value : values) {
    if (value != Real{0}) return false;
  }
  return true;
}

template <class Real>
void scale_rows(const std::vector<Real>& factors, std::int64_t m, std::int64_t n, Real* values) {
  for (std::int64_t j = 0; j < n; ++j) {
    Real* const column = values + j * m;
    if (factors.size() == 1) {
      const Real factor_of_all = factors[0];
      for (std::int64_t i = 0; i < m; ++i) column[i] *= factor_of_all;
    } else {
      for (std::int64_t i = 0; i < m; ++i) column[i] *= factors[static_cast<std::size_t>(i)];
    }
  }
}

// values += beta C, C of any order.
template <class Real>
void add_c(const ProductPlan& plan, std::int64_t index, const std::vector<Real>& beta,
           Real* values) {
  const auto c = read_matrix<Real>(plan.c, index, InputRounding::kNone, "C");
  for (std::int64_t j = 0; j < plan.n; ++j) {
    for (std::int64_t i = 0; i < plan.m; ++i) {
      const Real weight = beta.size() == 1 ? beta[0] : beta[static_cast<std::size_t>(i)];
      values[i + j * plan.m] +=
          weight * (plan.c.row_major ? c.data[j + i * c.ld] : c.data[i + j * c.ld]);
    }
  }
}

template <class Real>
void multiply_one(const ProductPlan& plan, std::int64_t index, RunningMaxima& maxima) {
  const std::vector<Real> alpha = scalar_values<Real>(
      plan.alpha, plan.m, index,
      factor(plan.scale_a, "scale of A") * factor(plan.scale_b, "scale of B"), "alpha");
  const std::vector<Real> beta =
      scalar_values<Real>(plan.beta, plan.m, index, factor(plan.scale_c, "scale of C"), "beta");
  std::vector<Real> values(static_cast<std::size_t>(plan.m * plan.n));
  if (plan.k > 0) {
    const auto a = read_matrix<Real>(plan.a, index, plan.rounding, "A");
    const auto b = read_matrix<Real>(plan.b, index, plan.rounding, "B");
    const bool transpose_a = plan.transpose_a != plan.a.row_major;
    const bool transpose_b = plan.transpose_b != plan.b.row_major;
    // alpha 0 still reads A and B here (a fault shows), but a NaN in them must not reach D.
    if (!all_zero(alpha)) {
      multiply(HostProduct<Real>{transpose_a, transpose_b, plan.m, plan.n, plan.k, a.data, a.ld,
                                 b.data, b.ld, values.data(), plan.m > 0 ? plan.m : 1});
    }
    if (plan.epilogue.bias_gradient == BiasGradient::kOfA) {
      store_operand_sums(plan, index, a.data, a.ld, !transpose_a, plan.m);
    } else if (plan.epilogue.bias_gradient == BiasGradient::kOfB) {
      store_operand_sums(plan, index, b.data, b.ld, transpose_b, plan.n);
    }
  }
  scale_rows(alpha, plan.m, plan.n, values.data());
  if (!all_zero(beta)) add_c(plan, index, beta, values.data());
  apply_epilogue(plan, index, values.data(), maxima);
  write_matrix(plan.d, index, values.data(), "D");
}

template <class Real>
void multiply_all(const ProductPlan& plan) {
  RunningMaxima maxima;
  for (std::int64_t index = 0; index < plan.batch_count; ++index)
    multiply_one<Real>(plan, index, maxima);
  if (plan.amax_d != nullptr) write_float(plan.amax_d, maxima.result, "amax of D");
  if (plan.epilogue.aux_amax != nullptr)
    write_float(plan.epilogue.aux_amax, maxima.aux, "amax of aux");
}

}  // namespace

void run_product(const ProductPlan& plan) {
  if (plan.m == 0 || plan.n == 0) return;
  if (plan.workspace_bytes > 0) {
    void* const scratch = host_pointer(plan.workspace, plan.workspace_bytes, "workspace");
    // Scratch of a real kernel holds partial sums afterwards: whoever kept data there must notice.
    std::memset(scratch, 0xff, plan.workspace_used_bytes);
  }
  if (plan.in_double) {
    multiply_all<double>(plan);
  } else {
    multiply_all<float>(plan);
  }
}

}  // namespace ptx_emulator::stand_ins
