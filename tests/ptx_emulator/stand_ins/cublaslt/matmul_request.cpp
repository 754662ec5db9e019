#include "tests/ptx_emulator/stand_ins/cublaslt/matmul_request.h"

#include <array>
#include <limits>

#include "tests/ptx_emulator/stand_ins/support/explain.h"

namespace ptx_emulator::stand_ins {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::int32_t>::max();

// Carries the status and the reason to where they are explained.
struct Refusal {
  cublasStatus_t status;
  std::string reason;
};
[[noreturn]] void invalid(std::string reason) {
  throw Refusal{CUBLAS_STATUS_INVALID_VALUE, std::move(reason)};
}
[[noreturn]] void unsupported(std::string reason) {
  throw Refusal{CUBLAS_STATUS_NOT_SUPPORTED, std::move(reason)};
}

bool is_fp8(NumberFormat format) {
  return format == NumberFormat::kFloat8E4m3 || format == NumberFormat::kFloat8E5m2;
}

NumberFormat format_or_refuse(std::int64_t type, const char* what) {
  const auto format = format_of_cuda_type(static_cast<int>(type));
  if (!format)
    unsupported(text("%s has the data type %d, which this stand-in does not compute", what,
                     static_cast<int>(type)));
  return *format;
}

Matrix matrix_of(const LayoutFields& layout, const char* what) {
  if (layout.order != CUBLASLT_ORDER_COL && layout.order != CUBLASLT_ORDER_ROW) {
    unsupported(
        text("%s has memory order %d; column and row order are supported", what, layout.order));
  }
  if (layout.rows > kLargest || layout.cols > kLargest)
    unsupported(text("%s has a side over 2^31 - 1", what));
  if (layout.plane_offset != 0) unsupported(text("%s is planar complex", what));
  if (layout.batch_mode > CUBLASLT_BATCH_MODE_POINTER_ARRAY)
    invalid(text("%s has batch mode %u", what, layout.batch_mode));
  if (layout.batch_count < 1) invalid(text("%s has batch count %d", what, layout.batch_count));
  Matrix matrix;
  matrix.format = format_or_refuse(layout.type, what);
  matrix.row_major = layout.order == CUBLASLT_ORDER_ROW;
  matrix.rows = static_cast<std::int64_t>(layout.rows);
  matrix.cols = static_cast<std::int64_t>(layout.cols);
  matrix.ld = layout.ld;
  matrix.batch_stride = layout.batch_stride;
  matrix.pointer_array = layout.batch_mode == CUBLASLT_BATCH_MODE_POINTER_ARRAY;
  if (matrix.ld < matrix.stored_rows()) {
    invalid(text("the leading dimension %lld of %s is below its %lld stored rows",
                 static_cast<long long>(matrix.ld), what,
                 static_cast<long long>(matrix.stored_rows())));
  }
  return matrix;
}

void plan_shapes(const MatmulDescriptors& in, ProductPlan& plan) {
  plan.a = matrix_of(*in.a, "A");
  plan.b = matrix_of(*in.b, "B");
  plan.c = matrix_of(*in.c, "C");
  plan.d = matrix_of(*in.d, "D");
  const MatmulFields& op = *in.operation;
  for (const std::int32_t transpose : {op.transpose_a, op.transpose_b}) {
    if (transpose < CUBLAS_OP_N || transpose > CUBLAS_OP_C)
      invalid(text("transpose operation %d does not exist", transpose));
  }
  if (op.transpose_c != CUBLAS_OP_N) unsupported("C can only be taken as it is (CUBLAS_OP_N)");
  if (op.fill_mode != CUBLAS_FILL_MODE_FULL) unsupported("only the fill mode FULL is supported");
  plan.transpose_a = op.transpose_a != CUBLAS_OP_N;
  plan.transpose_b = op.transpose_b != CUBLAS_OP_N;
  plan.m = plan.d.rows;
  plan.n = plan.d.cols;
  plan.k = plan.transpose_a ? plan.a.rows : plan.a.cols;
  const std::int64_t a_rows = plan.transpose_a ? plan.a.cols : plan.a.rows;
  const std::int64_t b_rows = plan.transpose_b ? plan.b.cols : plan.b.rows;
  const std::int64_t b_cols = plan.transpose_b ? plan.b.rows : plan.b.cols;
  if (a_rows != plan.m || b_rows != plan.k || b_cols != plan.n || plan.c.rows != plan.m ||
      plan.c.cols != plan.n) {
    const auto number = [](std::int64_t value) { return static_cast<long long>(value); };
    invalid(
        text("shapes do not fit: op(A) is (%lld, %lld), op(B) (%lld, %lld), C (%lld, %lld), D "
             "(%lld, %lld)",
             number(a_rows), number(plan.k), number(b_rows), number(b_cols), number(plan.c.rows),
             number(plan.c.cols), number(plan.m), number(plan.n)));
  }
  plan.batch_count = in.d->batch_count;
  for (const LayoutFields* const layout : {in.a, in.b, in.c}) {
    if (layout->batch_count != in.d->batch_count || layout->batch_mode != in.d->batch_mode) {
      invalid("batch counts or batch modes of A, B, C and D differ");
    }
  }
}

InputRounding rounding_of(int compute_type) {
  switch (compute_type) {
    // FAST_16F may use TF32, which keeps float32's range: no infinity that the hardware would not
    // make.
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return InputRounding::kTf32;
    case CUBLAS_COMPUTE_32F_FAST_16BF:
      return InputRounding::kBfloat16;
    default:
      return InputRounding::kNone;
  }
}

void plan_numbers(const MatmulFields& op, ProductPlan& plan) {
  plan.rounding = rounding_of(op.compute_type);
  plan.in_double = plan.a.format == NumberFormat::kFloat64 || is_integer(plan.a.format);
  const NumberFormat scale_format = format_or_refuse(op.scale_type, "alpha");
  plan.alpha.format = scale_format;
  plan.beta.format = scale_format;
  if (op.pointer_mode < 0 ||
      op.pointer_mode > CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST) {
    invalid(text("pointer mode %d does not exist", op.pointer_mode));
  }
  plan.alpha.per_row = op.pointer_mode >= CUBLASLT_POINTER_MODE_DEVICE_VECTOR;
  plan.beta.per_row = op.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE_VECTOR;
  plan.alpha.batch_stride = op.alpha_batch_stride;
  const bool fp8 = is_fp8(plan.a.format);
  if ((op.scale_a != nullptr || op.scale_b != nullptr) && !fp8)
    invalid("scales of A and B need fp8 matrices");
  if (op.scale_c != nullptr && !is_fp8(plan.c.format)) invalid("a scale of C needs an fp8 C");
  if ((op.scale_d != nullptr || op.amax_d != nullptr) && !is_fp8(plan.d.format))
    invalid("scale and amax of D need an fp8 D");
  for (const std::int32_t mode : op.scale_modes) {
    if (mode != CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F)
      unsupported(text("scale mode %d is not supported (only scalar float)", mode));
  }
  if (op.d_out_scale != nullptr || op.d_out_scale_mode != 0)
    unsupported("D_OUT_SCALE belongs to block scaling, which is not supported");
  plan.scale_a = op.scale_a;
  plan.scale_b = op.scale_b;
  plan.scale_c = op.scale_c;
  plan.scale_d = op.scale_d;
  plan.amax_d = op.amax_d;
  if (fp8) {
    // Hopper's fp8 tensor cores read both operands with k contiguous.
    if (plan.transpose_a == plan.a.row_major || plan.transpose_b != plan.b.row_major) {
      unsupported("fp8 needs A transposed and B not transposed (TN)");
    }
    if (plan.k % 16 != 0 || plan.m % 16 != 0)
      unsupported("fp8 needs m and k to be multiples of 16");
  }
}

// The default type of the bias vector, by the library's table.
NumberFormat default_bias_format(const ProductPlan& plan) {
  if (is_fp8(plan.d.format)) return plan.c.format;
  if (is_fp8(plan.a.format) && plan.d.format == NumberFormat::kFloat32)
    return NumberFormat::kBfloat16;
  return plan.d.format == NumberFormat::kInt8 ? plan.alpha.format : plan.d.format;
}

void plan_aux(const MatmulFields& op, const ProductPlan& plan, Epilogue& e) {
  const bool bits = e.activation == Activation::kRelu || e.activation == Activation::kReluGradient;
  const std::int64_t unit = bits ? 128 : 8;
  if (op.aux == nullptr) invalid("the epilogue needs CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER");
  if (op.aux_ld % unit != 0 || op.aux_ld < plan.m || op.aux_batch_stride % unit != 0) {
    invalid(
        text("CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD = %lld must be a multiple of %lld and at least "
             "%lld; batch stride %lld "
             "likewise a multiple",
             static_cast<long long>(op.aux_ld), static_cast<long long>(unit),
             static_cast<long long>(plan.m), static_cast<long long>(op.aux_batch_stride)));
  }
  if (plan.n > 1 && op.aux_ld > std::numeric_limits<std::int64_t>::max() / plan.n / 8)
    invalid("the leading dimension of aux overflows");
  if (reinterpret_cast<std::uintptr_t>(op.aux) % 16 != 0)
    invalid("the auxiliary buffer must be aligned to 16 bytes");
  e.aux = op.aux;
  e.aux_ld = op.aux_ld;
  e.aux_batch_stride = op.aux_batch_stride;
  e.aux_format = op.aux_type == -1 ? plan.d.format : format_or_refuse(op.aux_type, "aux");
  const bool wider = is_fp8(plan.d.format) && (e.aux_format == NumberFormat::kFloat16 ||
                                               e.aux_format == NumberFormat::kBfloat16);
  if (!bits && e.aux_format != plan.d.format && !wider)
    unsupported("the type of aux must be that of D");
  if ((op.aux_scale != nullptr || op.aux_amax != nullptr) && !is_fp8(e.aux_format))
    invalid("scale and amax of aux need an fp8 aux");
  e.aux_scale = op.aux_scale;
  e.aux_amax = op.aux_amax;
}

struct EpilogueRow {
  std::uint32_t number;
  Activation activation;
  bool bias, aux;
  BiasGradient gradient;
};
constexpr EpilogueRow kEpilogues[] = {
    {CUBLASLT_EPILOGUE_DEFAULT, Activation::kNone, false, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_RELU, Activation::kRelu, false, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_RELU_AUX, Activation::kRelu, false, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_BIAS, Activation::kNone, true, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_RELU_BIAS, Activation::kRelu, true, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_RELU_AUX_BIAS, Activation::kRelu, true, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_DRELU, Activation::kReluGradient, false, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_DRELU_BGRAD, Activation::kReluGradient, false, true,
     BiasGradient::kOfResult},
    {CUBLASLT_EPILOGUE_GELU, Activation::kGelu, false, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_GELU_AUX, Activation::kGelu, false, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_GELU_BIAS, Activation::kGelu, true, false, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, Activation::kGelu, true, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_DGELU, Activation::kGeluGradient, false, true, BiasGradient::kNone},
    {CUBLASLT_EPILOGUE_DGELU_BGRAD, Activation::kGeluGradient, false, true,
     BiasGradient::kOfResult},
    {CUBLASLT_EPILOGUE_BGRADA, Activation::kNone, false, false, BiasGradient::kOfA},
    {CUBLASLT_EPILOGUE_BGRADB, Activation::kNone, false, false, BiasGradient::kOfB},
};

void plan_epilogue(const MatmulFields& op, ProductPlan& plan) {
  const EpilogueRow* row = nullptr;
  for (const EpilogueRow& candidate : kEpilogues) {
    if (candidate.number == op.epilogue) row = &candidate;
  }
  if (row == nullptr) unsupported(text("epilogue %u is not known to this stand-in", op.epilogue));
  Epilogue& e = plan.epilogue;
  e.activation = row->activation;
  e.add_bias = row->bias;
  e.bias_gradient = row->gradient;
  e.write_aux =
      row->aux && (e.activation == Activation::kRelu || e.activation == Activation::kGelu);
  if (row->aux) plan_aux(op, plan, e);
  if (!row->bias && row->gradient == BiasGradient::kNone) return;
  e.bias_format =
      op.bias_type == -1 ? default_bias_format(plan) : format_or_refuse(op.bias_type, "bias");
  if (e.bias_format != default_bias_format(plan) && e.bias_format != plan.d.format) {
    unsupported(
        text("a %s bias does not go with a %s D", name_of(e.bias_format), name_of(plan.d.format)));
  }
  if (op.bias == nullptr) invalid("the epilogue needs CUBLASLT_MATMUL_DESC_BIAS_POINTER");
  if (reinterpret_cast<std::uintptr_t>(op.bias) % bytes_of(e.bias_format) != 0)
    invalid("the bias is not aligned to its type");
  e.bias = op.bias;
  e.bias_batch_stride = op.bias_batch_stride;
}

}  // namespace

ProblemTypes types_of(const MatmulDescriptors& in) {
  const auto type = [](const LayoutFields* layout) {
    return static_cast<std::int32_t>(layout->type);
  };
  return {in.operation->compute_type,
          in.operation->scale_type,
          type(in.a),
          type(in.b),
          type(in.c),
          type(in.d)};
}

cublasStatus_t plan_matmul(const char* function, const MatmulDescriptors& in, ProductPlan& plan) {
  if (in.operation == nullptr || in.a == nullptr || in.b == nullptr || in.c == nullptr ||
      in.d == nullptr) {
    explain(function, "a descriptor is NULL");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (!types_supported(function, types_of(in))) return CUBLAS_STATUS_NOT_SUPPORTED;
  try {
    plan_shapes(in, plan);
    plan_numbers(*in.operation, plan);
    plan_epilogue(*in.operation, plan);
  } catch (const Refusal& refusal) {
    explain(function, refusal.reason);
    return refusal.status;
  }
  return CUBLAS_STATUS_SUCCESS;
}

std::uint32_t common_alignment_bytes(const MatmulDescriptors& in) {
  std::uint64_t bits = 256;
  for (const LayoutFields* const layout : {in.a, in.b, in.c, in.d}) {
    const auto format = format_of_cuda_type(static_cast<int>(layout->type));
    const std::uint64_t element = format ? bytes_of(*format) : 1;
    bits |= static_cast<std::uint64_t>(layout->ld) * element;
    if (layout->batch_count > 1 && layout->batch_mode == CUBLASLT_BATCH_MODE_STRIDED) {
      bits |= static_cast<std::uint64_t>(layout->batch_stride) * element;
    }
  }
  return static_cast<std::uint32_t>(bits & (~bits + 1));  // the lowest set bit
}

}  // namespace ptx_emulator::stand_ins
