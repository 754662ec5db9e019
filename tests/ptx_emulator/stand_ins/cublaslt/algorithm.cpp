#include "tests/ptx_emulator/stand_ins/cublaslt/algorithm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"

namespace ptx_emulator::stand_ins {
namespace {

constexpr std::uint32_t kMagic = 0x50'4c'54'31;  // what an initialised algorithm starts with
constexpr int kAnyAlignment = 0;
constexpr int kTensor = 6;
constexpr int kTensorSplit = 21;

bool is_fp8(int type) {
  return type == CUDA_R_8F_E4M3 || type == CUDA_R_8F_E5M2;
}

bool fp8_supported(const char* function, const ProblemTypes& t) {
  if (!plays_hopper()) {
    explain(function,
            "fp8 needs compute capability 8.9 or more; play an H100 (PTX_EMULATOR_DEVICE=h100)");
    return false;
  }
  const bool inputs =
      is_fp8(t.a) && is_fp8(t.b) && !(t.a == CUDA_R_8F_E5M2 && t.b == CUDA_R_8F_E5M2);
  const bool wide = t.c == t.d && (t.d == CUDA_R_16BF || t.d == CUDA_R_16F || t.d == CUDA_R_32F);
  const bool narrow = is_fp8(t.d) && (t.c == CUDA_R_16BF || t.c == CUDA_R_16F) &&
                      (t.d == CUDA_R_8F_E4M3 || t.a == CUDA_R_8F_E5M2 || t.b == CUDA_R_8F_E5M2);
  return t.compute_type == CUBLAS_COMPUTE_32F && t.scale_type == CUDA_R_32F && inputs &&
         (wide || narrow);
}

// Rows of the library's table for regular data; fp8 is apart.
struct TypeRow {
  std::int32_t scale, ab, c;
};
constexpr TypeRow kHalfRows[] = {{CUDA_R_16F, CUDA_R_16F, CUDA_R_16F}};
constexpr TypeRow kFloatRows[] = {
    {CUDA_R_32F, CUDA_R_16BF, CUDA_R_16BF}, {CUDA_R_32F, CUDA_R_16F, CUDA_R_16F},
    {CUDA_R_32F, CUDA_R_8I, CUDA_R_32F},    {CUDA_R_32F, CUDA_R_16BF, CUDA_R_32F},
    {CUDA_R_32F, CUDA_R_16F, CUDA_R_32F},   {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F},
};
constexpr TypeRow kFastRows[] = {{CUDA_R_32F, CUDA_R_32F, CUDA_R_32F}};
constexpr TypeRow kDoubleRows[] = {{CUDA_R_64F, CUDA_R_64F, CUDA_R_64F}};
constexpr TypeRow kIntegerRows[] = {{CUDA_R_32I, CUDA_R_8I, CUDA_R_32I},
                                    {CUDA_R_32F, CUDA_R_8I, CUDA_R_8I}};

std::span<const TypeRow> rows_of(int compute_type) {
  switch (compute_type) {
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC:
      return kHalfRows;
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return kFloatRows;
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
    case CUBLAS_COMPUTE_32F_EMULATED_16BFX9:
      return kFastRows;
    case CUBLAS_COMPUTE_64F:
    case CUBLAS_COMPUTE_64F_PEDANTIC:
    case CUBLAS_COMPUTE_64F_EMULATED_FIXEDPOINT:
      return kDoubleRows;
    case CUBLAS_COMPUTE_32I:
    case CUBLAS_COMPUTE_32I_PEDANTIC:
      return kIntegerRows;
    default:
      return {};
  }
}

struct Tile {
  std::uint32_t id;
  std::uint64_t rows, cols;
};
constexpr Tile kTiles[] = {
    {CUBLASLT_MATMUL_TILE_64x64, 64, 64},     {CUBLASLT_MATMUL_TILE_64x128, 64, 128},
    {CUBLASLT_MATMUL_TILE_128x64, 128, 64},   {CUBLASLT_MATMUL_TILE_128x128, 128, 128},
    {CUBLASLT_MATMUL_TILE_128x256, 128, 256}, {CUBLASLT_MATMUL_TILE_256x128, 256, 128}};
constexpr std::uint32_t kStages[] = {CUBLASLT_MATMUL_STAGES_UNDEFINED, CUBLASLT_MATMUL_STAGES_16x3,
                                     CUBLASLT_MATMUL_STAGES_16x4, CUBLASLT_MATMUL_STAGES_64xAUTO};

const Tile* find_tile(std::uint32_t id) {
  const auto* const found =
      std::find_if(std::begin(kTiles), std::end(kTiles), [&](const Tile& t) { return t.id == id; });
  return found == std::end(kTiles) ? nullptr : found;
}

}  // namespace

bool types_supported(const char* function, const ProblemTypes& t) {
  bool supported = false;
  if (is_fp8(t.a) || is_fp8(t.b)) {
    supported = fp8_supported(function, t);
  } else {
    for (const TypeRow& row : rows_of(t.compute_type)) {
      supported |= row.scale == t.scale_type && row.ab == t.a && row.ab == t.b && row.c == t.c &&
                   row.c == t.d;
    }
  }
  if (!supported) {
    explain(
        function,
        text("compute type %d with scale type %d, A %d, B %d, C %d, D %d is not in the table of "
             "supported types",
             t.compute_type, t.scale_type, t.a, t.b, t.c, t.d));
  }
  return supported;
}

std::vector<int> algorithm_ids(const ProblemTypes& types) {
  if (is_fp8(types.a)) return {kTensor, kTensorSplit};
  return {kTensorSplit, kTensor, kAnyAlignment};
}

AlgorithmFields initial_algorithm(const ProblemTypes& types, int id) {
  AlgorithmFields fields{};
  fields.magic = kMagic;
  fields.id = id;
  fields.split_k = 1;
  const std::array<std::int32_t, 6> numbers = {
      types.compute_type, types.scale_type, types.a, types.b, types.c, types.d};
  for (std::size_t i = 0; i < numbers.size(); ++i)
    fields.types[i] = static_cast<std::int16_t>(numbers[i]);
  return fields;
}

ProblemTypes types_of(const AlgorithmFields& a) {
  return {a.types[0], a.types[1], a.types[2], a.types[3], a.types[4], a.types[5]};
}

const AlgorithmFields* fields_of(const cublasLtMatmulAlgo_t* algorithm) {
  static_assert(sizeof(AlgorithmFields) <= sizeof(cublasLtMatmulAlgo_t));
  const auto* const fields = reinterpret_cast<const AlgorithmFields*>(algorithm);
  return fields != nullptr && fields->magic == kMagic ? fields : nullptr;
}

std::uint32_t min_alignment_bytes(const AlgorithmFields& algorithm) {
  return algorithm.id == kAnyAlignment ? 1 : 16;
}

std::optional<AlgorithmNeeds> needs_of(const char* function, const AlgorithmFields& a,
                                       const LayoutFields& d) {
  const Tile* const tile =
      a.tile == CUBLASLT_MATMUL_TILE_UNDEFINED ? &kTiles[3] : find_tile(a.tile);
  const bool split = a.split_k > 1;
  if (tile == nullptr ||
      std::find(std::begin(kStages), std::end(kStages), a.stages) == std::end(kStages)) {
    explain(function, text("algorithm %d has no tile %u with stages %u", a.id, a.tile, a.stages));
    return std::nullopt;
  }
  if (a.split_k < 0 || a.swizzling > 1 || a.custom > 0 || (split && a.id != kTensorSplit) ||
      (split != (a.reduction != CUBLASLT_REDUCTION_SCHEME_NONE)) ||
      a.reduction > CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE || a.reduction == 3) {
    explain(
        function,
        text("algorithm %d cannot do split-K %d with reduction scheme %u, swizzling %u, option %u",
             a.id, a.split_k, a.reduction, a.swizzling, a.custom));
    return std::nullopt;
  }
  const std::uint64_t blocks =
      ((d.rows + tile->rows - 1) / tile->rows) * ((d.cols + tile->cols - 1) / tile->cols);
  AlgorithmNeeds needs;
  const auto parts = static_cast<std::uint64_t>(std::max(a.split_k, 1)) *
                     static_cast<std::uint64_t>(std::max(d.batch_count, 1));
  needs.waves =
      static_cast<float>(static_cast<double>(blocks * parts) / (plays_hopper() ? 132.0 : 108.0));
  if (split) {
    std::uint64_t bytes = 4 * blocks;  // counters of the in-place scheme
    if (a.reduction != CUBLASLT_REDUCTION_SCHEME_INPLACE) {
      const auto format = format_of_cuda_type(static_cast<int>(d.type));
      bytes =
          a.reduction == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE || !format ? 4 : bytes_of(*format);
      if (__builtin_mul_overflow(bytes, d.rows, &bytes) ||
          __builtin_mul_overflow(bytes, d.cols, &bytes))
        return std::nullopt;
    }
    if (__builtin_mul_overflow(bytes, parts, &bytes)) return std::nullopt;
    needs.workspace_bytes = (bytes + 255) / 256 * 256;
  }
  return needs;
}

}  // namespace ptx_emulator::stand_ins

using namespace ptx_emulator::stand_ins;

namespace {

constexpr AttributeSlot kConfigSlots[] = {
    {CUBLASLT_ALGO_CONFIG_ID, offsetof(AlgorithmFields, id), 4},
    {CUBLASLT_ALGO_CONFIG_TILE_ID, offsetof(AlgorithmFields, tile), 4},
    {CUBLASLT_ALGO_CONFIG_SPLITK_NUM, offsetof(AlgorithmFields, split_k), 4},
    {CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, offsetof(AlgorithmFields, reduction), 4},
    {CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, offsetof(AlgorithmFields, swizzling), 4},
    {CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, offsetof(AlgorithmFields, custom), 4},
    {CUBLASLT_ALGO_CONFIG_STAGES_ID, offsetof(AlgorithmFields, stages), 4},
    {CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, offsetof(AlgorithmFields, inner_shape), 2},
    {CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, offsetof(AlgorithmFields, cluster_shape), 2},
};

// Copies a list or a single number by the library's rules; `bytes` 0 asks for the size.
cublasStatus_t answer(const void* from, std::size_t have, void* to, std::size_t bytes,
                      std::size_t* written) {
  if (bytes == 0 ? written == nullptr : to == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const std::size_t copied = bytes == 0 ? have : std::min(bytes, have);
  if (bytes != 0) std::memcpy(to, from, copied);
  if (written != nullptr) *written = copied;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t answer_number(std::int64_t value, std::size_t size, void* to, std::size_t bytes,
                             std::size_t* written) {
  if (bytes != 0 && bytes != size) return CUBLAS_STATUS_INVALID_VALUE;
  return answer(&value, size, to, bytes, written);  // little endian: the low bytes come first
}

std::int64_t capability(const AlgorithmFields& a, cublasLtMatmulAlgoCapAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_ALGO_CAP_SPLITK_SUPPORT:
      return a.id == kTensorSplit ? 1 : 0;
    case CUBLASLT_ALGO_CAP_REDUCTION_SCHEME_MASK:
      return a.id == kTensorSplit ? CUBLASLT_REDUCTION_SCHEME_MASK : 0;
    case CUBLASLT_ALGO_CAP_CTA_SWIZZLING_SUPPORT:
    case CUBLASLT_ALGO_CAP_STRIDED_BATCH_SUPPORT:
    case CUBLASLT_ALGO_CAP_OUT_OF_PLACE_RESULT_SUPPORT:
    case CUBLASLT_ALGO_CAP_POINTER_ARRAY_BATCH_SUPPORT:
      return 1;
    case CUBLASLT_ALGO_CAP_POINTER_MODE_MASK:
      return 31;
    case CUBLASLT_ALGO_CAP_EPILOGUE_MASK:
      return 1023;
    case CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS:
      return static_cast<std::int64_t>((a.id == kAnyAlignment
                                            ? CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA
                                            : CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA) |
                                       CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F);
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_ALGO_CAP_MIN_ALIGNMENT_D_BYTES:
      return min_alignment_bytes(a);
    default:
      return 0;
  }
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetIds(cublasLtHandle_t handle, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type, cudaDataType_t a,
                                        cudaDataType_t b, cudaDataType_t c, cudaDataType_t d,
                                        int requested, int ids[], int* returned) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (requested <= 0 || ids == nullptr || returned == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *returned = 0;
  const ProblemTypes types = {compute_type, scale_type, a, b, c, d};
  if (!types_supported(__func__, types)) return CUBLAS_STATUS_NOT_SUPPORTED;
  for (const int id : algorithm_ids(types)) {
    if (*returned < requested) ids[(*returned)++] = id;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoInit(cublasLtHandle_t handle, cublasComputeType_t compute_type,
                                      cudaDataType_t scale_type, cudaDataType_t a, cudaDataType_t b,
                                      cudaDataType_t c, cudaDataType_t d, int id,
                                      cublasLtMatmulAlgo_t* algorithm) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (algorithm == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const ProblemTypes types = {compute_type, scale_type, a, b, c, d};
  if (!types_supported(__func__, types)) return CUBLAS_STATUS_NOT_SUPPORTED;
  const std::vector<int> ids = algorithm_ids(types);
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) {
    explain(__func__, text("there is no algorithm %d for these types", id));
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const AlgorithmFields fields = initial_algorithm(types, id);
  std::memset(algorithm, 0, sizeof *algorithm);
  std::memcpy(algorithm, &fields, sizeof fields);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigSetAttribute(cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  if (fields_of(algorithm) == nullptr || attribute == CUBLASLT_ALGO_CONFIG_ID)
    return CUBLAS_STATUS_INVALID_VALUE;
  return set_attribute(kConfigSlots, __func__, algorithm, attribute, value, bytes);
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void* value, size_t bytes, size_t* written) {
  return get_attribute(kConfigSlots, __func__, fields_of(algorithm), attribute, value, bytes,
                       written);
}

cublasStatus_t cublasLtMatmulAlgoCapGetAttribute(const cublasLtMatmulAlgo_t* algorithm,
                                                 cublasLtMatmulAlgoCapAttributes_t attribute,
                                                 void* value, size_t bytes, size_t* written) {
  const AlgorithmFields* const fields = fields_of(algorithm);
  if (fields == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (attribute == CUBLASLT_ALGO_CAP_TILE_IDS) {
    std::array<std::uint32_t, std::size(kTiles)> ids{};
    std::transform(std::begin(kTiles), std::end(kTiles), ids.begin(),
                   [](const Tile& tile) { return tile.id; });
    return answer(ids.data(), sizeof ids, value, bytes, written);
  }
  if (attribute == CUBLASLT_ALGO_CAP_STAGES_IDS)
    return answer(kStages, sizeof kStages, value, bytes, written);
  if (attribute < 0 || attribute > CUBLASLT_ALGO_CAP_FLOATING_POINT_EMULATION_SUPPORT) {
    complain(__func__,
             text("attribute %d is not known to this stand-in", static_cast<int>(attribute)));
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  const std::size_t size = attribute == CUBLASLT_ALGO_CAP_NUMERICAL_IMPL_FLAGS ? 8 : 4;
  return answer_number(capability(*fields, attribute), size, value, bytes, written);
}

}  // extern "C"
