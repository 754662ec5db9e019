// cublasLtMatmul and the choice of its algorithm.

#include <algorithm>
#include <bit>
#include <cstring>

#include "tests/ptx_emulator/stand_ins/cublaslt/matmul_request.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

using namespace ptx_emulator::stand_ins;

namespace {

MatmulDescriptors descriptors_of(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                                 cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                 cublasLtMatrixLayout_t d) {
  return {fields_of(operation), fields_of(a), fields_of(b), fields_of(c), fields_of(d)};
}

// alpha or beta as the call gives it; false where the pointer is missing.
bool take_scalar(Scalar& scalar, const void* pointer, bool on_device) {
  if (pointer == nullptr) return false;
  if (on_device) {
    scalar.device = pointer;
  } else {
    load(scalar.format, pointer, 1, &scalar.value);
  }
  return true;
}

bool take_scalars(ProductPlan& plan, int pointer_mode, const void* alpha, const void* beta) {
  const bool alpha_on_device = pointer_mode != CUBLASLT_POINTER_MODE_HOST;
  if (!take_scalar(plan.alpha, alpha, alpha_on_device)) return false;
  if (pointer_mode == CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_ZERO) {
    plan.beta.value = 0;
    return true;
  }
  return take_scalar(
      plan.beta, beta,
      alpha_on_device && pointer_mode != CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST);
}

std::uint64_t implementation_flags(const AlgorithmFields& algorithm) {
  return min_alignment_bytes(algorithm) == 1 ? CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA
                                             : CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA;
}

// Every configuration that suits the descriptors, best first.
std::vector<AlgorithmFields> candidates(const MatmulDescriptors& in, std::int64_t k) {
  const ProblemTypes types = types_of(in);
  std::vector<AlgorithmFields> found;
  for (const int id : algorithm_ids(types)) {
    AlgorithmFields fields = initial_algorithm(types, id);
    fields.tile = in.d->rows >= 128 && in.d->cols >= 128 ? CUBLASLT_MATMUL_TILE_128x128
                                                         : CUBLASLT_MATMUL_TILE_64x64;
    fields.stages = CUBLASLT_MATMUL_STAGES_16x4;
    found.push_back(fields);
  }
  // A deep product with a small result gains from split-K on a GPU: offer it first, as the library
  // does.
  const std::uint64_t results = in.d->rows * in.d->cols;
  for (const auto scheme :
       {CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, CUBLASLT_REDUCTION_SCHEME_INPLACE}) {
    AlgorithmFields fields = found.front();
    if (min_alignment_bytes(fields) == 1) break;
    fields.split_k = 4;
    fields.reduction = scheme;
    found.insert(k >= 2048 && results <= 256 * 256 ? found.begin() : found.end(), fields);
  }
  return found;
}

// True where a call with these limits may use the configuration; fills `needs`.
bool admitted(const AlgorithmFields& algorithm, const MatmulDescriptors& in,
              const PreferenceFields& limits, AlgorithmNeeds& needs) {
  std::uint32_t alignment = common_alignment_bytes(in);
  for (const std::uint32_t bytes : limits.min_alignment) alignment = std::min(alignment, bytes);
  const auto found = needs_of("cublasLtMatmulAlgoGetHeuristic", algorithm, *in.d);
  if (!found) return false;
  needs = *found;
  return min_alignment_bytes(algorithm) <= std::max(alignment, 1U) &&
         needs.workspace_bytes <= limits.max_workspace_bytes &&
         (algorithm.reduction == 0 || (algorithm.reduction & limits.reduction_mask) != 0) &&
         (limits.max_waves == 0.0F || needs.waves <= limits.max_waves) &&
         (implementation_flags(algorithm) & limits.implementation_mask) != 0;
}

std::uint32_t alignment_of(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  return address == 0
             ? 256
             : static_cast<std::uint32_t>(std::min<std::uintptr_t>(256, address & (~address + 1)));
}

// What cublasLtMatmul does where the caller gives no algorithm.
const char* choose(const MatmulDescriptors& in, const ProductPlan& plan,
                   std::uint64_t workspace_bytes, AlgorithmFields& chosen) {
  PreferenceFields limits{};
  limits.reduction_mask = CUBLASLT_REDUCTION_SCHEME_MASK;
  limits.max_workspace_bytes = workspace_bytes;
  limits.implementation_mask = ~std::uint64_t{0};
  const void* const pointers[4] = {plan.a.data, plan.b.data, plan.c.data, plan.d.data};
  for (std::size_t i = 0; i < 4; ++i)
    limits.min_alignment[i] = in.d->batch_mode != 0 ? 256 : alignment_of(pointers[i]);
  for (const AlgorithmFields& algorithm : candidates(in, plan.k)) {
    AlgorithmNeeds needs;
    if (admitted(algorithm, in, limits, needs)) {
      chosen = algorithm;
      return nullptr;
    }
  }
  return "no algorithm suits the alignment of the operands and the workspace";
}

// Alignment of the operands against the algorithm's demand and the element type. nullptr where all
// is well.
const char* misaligned_operand(const ProductPlan& plan, const AlgorithmFields& algorithm,
                               std::uint32_t layouts_alignment) {
  const Matrix* const matrices[] = {&plan.a, &plan.b, &plan.c, &plan.d};
  const char* const names[] = {"A", "B", "C", "D"};
  if (layouts_alignment < min_alignment_bytes(algorithm))
    return "leading dimensions or batch strides";
  for (std::size_t i = 0; i < 4; ++i) {
    const Matrix& matrix = *matrices[i];
    if (matrix.data == nullptr) continue;
    const std::size_t needed =
        matrix.pointer_array
            ? sizeof(void*)
            : std::max<std::size_t>(bytes_of(matrix.format), min_alignment_bytes(algorithm));
    if (reinterpret_cast<std::uintptr_t>(matrix.data) % needed != 0) return names[i];
  }
  return nullptr;
}

cublasStatus_t refuse(const char* function, cublasStatus_t status, const std::string& reason) {
  explain(function, reason);
  return status;
}

cublasStatus_t check_workspace(const char* function, const AlgorithmFields& algorithm,
                               const LayoutFields& d, ProductPlan& plan) {
  const auto needs = needs_of(function, algorithm, d);
  if (!needs) return CUBLAS_STATUS_INVALID_VALUE;
  if (plan.workspace_bytes < needs->workspace_bytes) {
    return refuse(function, CUBLAS_STATUS_INVALID_VALUE,
                  text("the workspace has %llu bytes, the algorithm needs %llu",
                       static_cast<unsigned long long>(plan.workspace_bytes),
                       static_cast<unsigned long long>(needs->workspace_bytes)));
  }
  if (plan.workspace_bytes > 0 && plan.workspace == nullptr) {
    return refuse(function, CUBLAS_STATUS_INVALID_VALUE,
                  "the workspace is NULL but its size is not 0");
  }
  if (plan.workspace_bytes > 0 && reinterpret_cast<std::uintptr_t>(plan.workspace) % 256 != 0) {
    return refuse(function, CUBLAS_STATUS_INVALID_VALUE,
                  "the workspace is not aligned to 256 bytes");
  }
  plan.workspace_used_bytes = needs->workspace_bytes;
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* returned) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (requested <= 0 || results == nullptr || returned == nullptr || preference == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  *returned = 0;
  const MatmulDescriptors in = descriptors_of(operation, a, b, c, d);
  ProductPlan plan;
  if (const cublasStatus_t status = plan_matmul(__func__, in, plan);
      status != CUBLAS_STATUS_SUCCESS)
    return status;
  const PreferenceFields& limits = *fields_of(preference);
  const AlgorithmFields* const wanted = limits.search_mode == CUBLASLT_SEARCH_LIMITED_BY_ALGO_ID
                                            ? fields_of(&results[0].algo)
                                            : nullptr;
  if (limits.search_mode > CUBLASLT_SEARCH_LIMITED_BY_ALGO_ID ||
      (limits.search_mode == CUBLASLT_SEARCH_LIMITED_BY_ALGO_ID && wanted == nullptr)) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE,
                  text("search mode %u needs an initialised algorithm", limits.search_mode));
  }
  const int wanted_id = wanted != nullptr ? wanted->id : -1;
  for (const AlgorithmFields& algorithm : candidates(in, plan.k)) {
    AlgorithmNeeds needs;
    if (*returned == requested) break;
    if ((wanted_id >= 0 && algorithm.id != wanted_id) || !admitted(algorithm, in, limits, needs))
      continue;
    cublasLtMatmulHeuristicResult_t& result = results[(*returned)++];
    std::memset(&result, 0, sizeof result);
    std::memcpy(&result.algo, &algorithm, sizeof algorithm);
    result.workspaceSize = needs.workspace_bytes;
    result.wavesCount = needs.waves;
    result.state = CUBLAS_STATUS_SUCCESS;
  }
  if (*returned > 0) return CUBLAS_STATUS_SUCCESS;
  return refuse(__func__, CUBLAS_STATUS_NOT_SUPPORTED,
                "no algorithm suits the alignment, workspace and masks of the preference");
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algorithm,
                                       cublasLtMatmulHeuristicResult_t* result) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const AlgorithmFields* const fields = fields_of(algorithm);
  if (fields == nullptr || result == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const MatmulDescriptors in = descriptors_of(operation, a, b, c, d);
  ProductPlan plan;
  if (const cublasStatus_t status = plan_matmul(__func__, in, plan);
      status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (types_of(*fields) != types_of(in)) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE,
                  "the algorithm was initialised for other types");
  }
  const auto needs = needs_of(__func__, *fields, *in.d);
  if (!needs || common_alignment_bytes(in) < min_alignment_bytes(*fields))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  result->workspaceSize = needs->workspace_bytes;
  result->wavesCount = needs->waves;
  result->state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              const void* alpha, const void* A, cublasLtMatrixLayout_t a,
                              const void* B, cublasLtMatrixLayout_t b, const void* beta,
                              const void* C, cublasLtMatrixLayout_t c, void* D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t* algorithm,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const MatmulDescriptors in = descriptors_of(operation, a, b, c, d);
  ProductPlan plan;
  if (const cublasStatus_t status = plan_matmul(__func__, in, plan);
      status != CUBLAS_STATUS_SUCCESS)
    return status;
  if (!take_scalars(plan, in.operation->pointer_mode, alpha, beta)) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE, "alpha or beta is NULL");
  }
  plan.a.data = A;
  plan.b.data = B;
  plan.c.data = C;
  plan.d.data = D;
  plan.workspace = workspace;
  plan.workspace_bytes = workspace_bytes;
  const bool empty = plan.m == 0 || plan.n == 0;
  const bool reads_c = plan.beta.device != nullptr || plan.beta.value != 0;
  if (!empty && (D == nullptr || ((A == nullptr || B == nullptr) && plan.k > 0) ||
                 (C == nullptr && reads_c))) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE, "A, B, C or D is NULL");
  }
  AlgorithmFields chosen{};
  if (algorithm == nullptr) {
    const char* const problem =
        choose(in, plan, workspace == nullptr ? 0 : workspace_bytes, chosen);
    if (problem != nullptr) return refuse(__func__, CUBLAS_STATUS_NOT_SUPPORTED, problem);
  } else if (fields_of(algorithm) == nullptr || types_of(*fields_of(algorithm)) != types_of(in)) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE,
                  "the algorithm is not initialised, or for other types");
  } else {
    chosen = *fields_of(algorithm);
  }
  if (const char* const operand = misaligned_operand(plan, chosen, common_alignment_bytes(in));
      operand != nullptr) {
    return refuse(__func__, CUBLAS_STATUS_INVALID_VALUE,
                  text("%s: not aligned to its type or to the %u bytes that algorithm %d needs",
                       operand, min_alignment_bytes(chosen), chosen.id));
  }
  if (const cublasStatus_t status = check_workspace(__func__, chosen, *in.d, plan);
      status != CUBLAS_STATUS_SUCCESS)
    return status;
  return enqueue(
             stream, [plan] { run_product(plan); }, "cublasLtMatmul") == kCudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_EXECUTION_FAILED;
}

}  // extern "C"
