#include "tests/ptx_emulator/stand_ins/support/epilogue.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/ptx_emulator/stand_ins/support/matrix_access.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

constexpr double kGeluScale = 0.7978845608028654;  // sqrt(2 / pi)
constexpr double kGeluCubic = 0.044715;

// The larger of both; a NaN stays, so that it shows.
double larger_or_nan(double maximum, double value) {
  const double magnitude = std::fabs(value);
  return std::isnan(maximum) || magnitude <= maximum ? maximum : magnitude;
}

std::byte* vector_address(void* device, NumberFormat format, std::int64_t stride,
                          std::int64_t index, std::int64_t length, const char* what) {
  auto* const at = static_cast<std::byte*>(device) +
                   stride * index * static_cast<std::int64_t>(bytes_of(format));
  return static_cast<std::byte*>(
      host_pointer(at, static_cast<std::size_t>(length) * bytes_of(format), what));
}

template <class Real>
void store_bias_gradient(const ProductPlan& plan, std::int64_t index,
                         const std::vector<Real>& sums) {
  const Epilogue& e = plan.epilogue;
  const std::size_t bytes = sums.size() * bytes_of(e.bias_format);
  const std::int64_t offset =
      e.bias_batch_stride * index * static_cast<std::int64_t>(bytes_of(e.bias_format));
  store(e.bias_format, sums.data(), sums.size(),
        writable_pointer(static_cast<std::byte*>(e.bias) + offset, bytes, "bias gradient"));
}

// RELU's mask: bit i + j * ld, least significant first.
class BitMask {
 public:
  BitMask(const ProductPlan& plan, std::int64_t index) : ld_(plan.epilogue.aux_ld) {
    const std::int64_t bits = (plan.n - 1) * ld_ + plan.m;
    auto* const at =
        static_cast<std::uint8_t*>(plan.epilogue.aux) + plan.epilogue.aux_batch_stride * index / 8;
    const auto bytes = static_cast<std::size_t>((bits + 7) / 8);
    bytes_ = static_cast<std::uint8_t*>(plan.epilogue.write_aux
                                            ? writable_pointer(at, bytes, "RELU mask")
                                            : host_pointer(at, bytes, "RELU mask"));
  }
  bool get(std::int64_t i, std::int64_t j) const {
    const std::int64_t bit = i + j * ld_;
    return ((bytes_[bit / 8] >> (bit % 8)) & 1) != 0;
  }
  void set(std::int64_t i, std::int64_t j, bool value) {
    const std::int64_t bit = i + j * ld_;
    const auto one = static_cast<std::uint8_t>(1U << (bit % 8));
    bytes_[bit / 8] =
        static_cast<std::uint8_t>(value ? bytes_[bit / 8] | one : bytes_[bit / 8] & ~one);
  }

 private:
  std::int64_t ld_;
  std::uint8_t* bytes_;
};

Matrix aux_matrix(const ProductPlan& plan) {
  const Epilogue& e = plan.epilogue;
  Matrix aux;
  aux.format = e.aux_format;
  aux.rows = plan.m;
  aux.cols = plan.n;
  aux.ld = e.aux_ld;
  aux.batch_stride = e.aux_batch_stride;
  aux.data = e.aux;
  return aux;
}

template <class Real>
void apply_relu(const ProductPlan& plan, std::int64_t index, Real* values) {
  const auto total = plan.m * plan.n;
  if (plan.epilogue.write_aux) {
    BitMask mask(plan, index);
    for (std::int64_t at = 0; at < total; ++at)
      mask.set(at % plan.m, at / plan.m, values[at] > Real{0});
  }
  // Written so that a NaN stays one.
  for (std::int64_t at = 0; at < total; ++at)
    values[at] = values[at] < Real{0} ? Real{0} : values[at];
}

template <class Real>
void apply_gelu(const ProductPlan& plan, std::int64_t index, Real* values, RunningMaxima& maxima) {
  const auto total = static_cast<std::size_t>(plan.m * plan.n);
  if (plan.epilogue.write_aux) {
    std::vector<Real> scaled;
    const Real* kept = values;
    if (plan.epilogue.aux_amax != nullptr) {
      for (std::size_t at = 0; at < total; ++at)
        maxima.aux = larger_or_nan(maxima.aux, static_cast<double>(values[at]));
    }
    if (plan.epilogue.aux_scale != nullptr) {
      const auto scale = static_cast<Real>(
          read_number(plan.epilogue.aux_scale, NumberFormat::kFloat32, "aux scale"));
      scaled.assign(values, values + total);
      for (Real& value : scaled) value *= scale;
      kept = scaled.data();
    }
    write_matrix(aux_matrix(plan), index, kept, "GELU input");
  }
  for (std::size_t at = 0; at < total; ++at) values[at] = gelu(values[at]);
}

template <class Real>
void apply_activation(const ProductPlan& plan, std::int64_t index, Real* values,
                      RunningMaxima& maxima) {
  switch (plan.epilogue.activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      return apply_relu(plan, index, values);
    case Activation::kGelu:
      return apply_gelu(plan, index, values, maxima);
    case Activation::kReluGradient: {
      const BitMask mask(plan, index);
      for (std::int64_t at = 0; at < plan.m * plan.n; ++at) {
        if (!mask.get(at % plan.m, at / plan.m)) values[at] = Real{0};
      }
      return;
    }
    case Activation::kGeluGradient: {
      const auto input =
          read_matrix<Real>(aux_matrix(plan), index, InputRounding::kNone, "GELU input");
      for (std::int64_t j = 0; j < plan.n; ++j) {
        for (std::int64_t i = 0; i < plan.m; ++i)
          values[i + j * plan.m] *= gelu_derivative(input.data[i + j * input.ld]);
      }
      return;
    }
  }
}

template <class Real>
void add_bias(const ProductPlan& plan, std::int64_t index, Real* values) {
  const Epilogue& e = plan.epilogue;
  std::vector<Real> bias(static_cast<std::size_t>(plan.m));
  load(e.bias_format,
       vector_address(e.bias, e.bias_format, e.bias_batch_stride, index, plan.m, "bias"),
       bias.size(), bias.data());
  for (std::int64_t j = 0; j < plan.n; ++j) {
    for (std::int64_t i = 0; i < plan.m; ++i)
      values[i + j * plan.m] += bias[static_cast<std::size_t>(i)];
  }
}

}  // namespace

template <class Real>
Real gelu(Real x) {
  const Real inner =
      static_cast<Real>(kGeluScale) * (x + static_cast<Real>(kGeluCubic) * x * x * x);
  return Real{0.5} * x * (Real{1} + std::tanh(inner));
}

template <class Real>
Real gelu_derivative(Real x) {
  const Real inner =
      static_cast<Real>(kGeluScale) * (x + static_cast<Real>(kGeluCubic) * x * x * x);
  const Real t = std::tanh(inner);
  const Real slope =
      static_cast<Real>(kGeluScale) * (Real{1} + Real{3} * static_cast<Real>(kGeluCubic) * x * x);
  return Real{0.5} * (Real{1} + t) + Real{0.5} * x * (Real{1} - t * t) * slope;
}

template <class Real>
void apply_epilogue(const ProductPlan& plan, std::int64_t index, Real* values,
                    RunningMaxima& maxima) {
  if (plan.m == 0 || plan.n == 0) return;
  if (plan.epilogue.add_bias) add_bias(plan, index, values);
  apply_activation(plan, index, values, maxima);
  if (plan.epilogue.bias_gradient == BiasGradient::kOfResult) {
    std::vector<Real> sums(static_cast<std::size_t>(plan.m));
    for (std::int64_t j = 0; j < plan.n; ++j) {
      for (std::int64_t i = 0; i < plan.m; ++i)
        sums[static_cast<std::size_t>(i)] += values[i + j * plan.m];
    }
    store_bias_gradient(plan, index, sums);
  }
  const std::int64_t total = plan.m * plan.n;
  if (plan.amax_d != nullptr) {
    for (std::int64_t at = 0; at < total; ++at)
      maxima.result = larger_or_nan(maxima.result, static_cast<double>(values[at]));
  }
  if (plan.scale_d != nullptr) {
    const auto scale =
        static_cast<Real>(read_number(plan.scale_d, NumberFormat::kFloat32, "scale of D"));
    for (std::int64_t at = 0; at < total; ++at) values[at] *= scale;
  }
}

template <class Real>
void store_operand_sums(const ProductPlan& plan, std::int64_t index, const Real* operand,
                        std::int64_t ld, bool sum_columns, std::int64_t length) {
  std::vector<Real> sums(static_cast<std::size_t>(length));
  for (std::int64_t l = 0; l < plan.k; ++l) {
    for (std::int64_t i = 0; i < length; ++i) {
      sums[static_cast<std::size_t>(i)] += sum_columns ? operand[i + l * ld] : operand[l + i * ld];
    }
  }
  store_bias_gradient(plan, index, sums);
}

template float gelu<float>(float);
template double gelu<double>(double);
template float gelu_derivative<float>(float);
template double gelu_derivative<double>(double);
template void apply_epilogue<float>(const ProductPlan&, std::int64_t, float*, RunningMaxima&);
template void apply_epilogue<double>(const ProductPlan&, std::int64_t, double*, RunningMaxima&);
template void store_operand_sums<float>(const ProductPlan&, std::int64_t, const float*,
                                        std::int64_t, bool, std::int64_t);
template void store_operand_sums<double>(const ProductPlan&, std::int64_t, const double*,
                                         std::int64_t, bool, std::int64_t);

}  // namespace ptx_emulator::stand_ins
