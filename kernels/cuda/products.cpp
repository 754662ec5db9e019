#include "kernels/cuda/products.cuh"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/cuda/handle.cuh"
#include "kernels/cuda/product_choices.h"

// cuBLASLt stores by columns. A row-major matrix is, column-major, its own transpose, so that
// out = left right is asked for as out' = right' left': A is `right`, B is `left`, and the
// library's rows are our columns.
namespace ovid::kernels::cuda {

namespace {

using MatmulDesc = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;
using TimedEvent = Handle<cudaEvent_t, cudaEventDestroy>;

constexpr int kCandidates = 8;
constexpr int kTimings = 3;  // the least counts: what disturbs only lengthens

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::kBfloat16:
      return CUDA_R_16BF;
    case DType::kFloat16:
      return CUDA_R_16F;
    default:
      return CUDA_R_32F;
  }
}

struct EpilogueEntry {
  cublasLtEpilogue_t value;
  const char* name;
};
EpilogueEntry entry_of(ProductEpilogue epilogue) {
  switch (epilogue) {
    case ProductEpilogue::kBias:
      return {CUBLASLT_EPILOGUE_BIAS, "bias"};
    case ProductEpilogue::kBiasGelu:
      return {CUBLASLT_EPILOGUE_GELU_BIAS, "bias+gelu"};
    case ProductEpilogue::kBiasGeluAux:
      return {CUBLASLT_EPILOGUE_GELU_AUX_BIAS, "bias+gelu+aux"};
    case ProductEpilogue::kGeluGradient:
      return {CUBLASLT_EPILOGUE_DGELU, "gelu gradient"};
    case ProductEpilogue::kRowSumsLeft:
      return {CUBLASLT_EPILOGUE_BGRADB, "sums of left"};
    case ProductEpilogue::kColumnSumsRight:
      return {CUBLASLT_EPILOGUE_BGRADA, "sums of right"};
    case ProductEpilogue::kNone:
      break;
  }
  return {CUBLASLT_EPILOGUE_DEFAULT, "none"};
}

// Of an address, up to the 16 bytes of the widest access.
std::uint32_t alignment_of(const void* address) {
  const auto bits = reinterpret_cast<std::uintptr_t>(address) | 16u;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

// How far apart the library believes the rows; one row alone may claim any distance.
std::int64_t leading(const ConstView& view) {
  return std::max<std::int64_t>(view.row_stride(), 1);
}

struct Extents {
  std::int64_t rows, columns, sum;
};
Extents extents_of(const Product& p) {
  return {.rows = p.out.rows(),
          .columns = p.out.columns(),
          .sum = p.left.transposed ? p.left.matrix.rows() : p.left.matrix.columns()};
}

// All that the choice of an algorithm may depend on. Not whether the product accumulates: then the
// first micro-batch, which overwrites, gives the same bits as the others.
std::string key_of(const Product& p, const Extents& e, bool tf32) {
  const ConstView &left = p.left.matrix, &right = p.right.matrix;
  std::string key = name_of(left.dtype());
  if (tf32) key += " as tf32";
  key += std::string(" to ") + name_of(p.out.dtype());
  key += " (" + std::to_string(e.rows) + ", " + std::to_string(e.sum) + ")";
  key += p.left.transposed ? "' by (" : " by (";
  key += std::to_string(e.sum) + ", " + std::to_string(e.columns) + ")";
  if (p.right.transposed) key += "'";
  key += ", strides " + std::to_string(leading(left)) + " " + std::to_string(leading(right)) + " " +
         std::to_string(leading(p.out));
  key += std::string(", epilogue ") + entry_of(p.epilogue).name + ", alignments";
  if (p.aux != nullptr) key += " aux " + std::to_string(leading(*p.aux));
  const ConstView& out = p.out;
  for (const ConstView* view : {&left, &right, &out}) {
    key += " " + std::to_string(alignment_of(view->raw()));
  }
  if (p.bias) key += " " + std::to_string(alignment_of(p.bias->raw()));
  if (p.aux != nullptr) key += " " + std::to_string(alignment_of(p.aux->raw()));
  if (p.sums != nullptr) key += " " + std::to_string(alignment_of(p.sums));
  return key;
}

// A product as the library's descriptors.
class Request {
 public:
  Request(DeviceState& device, const Product& p, const Extents& e, bool tf32)
      : device_(device), product_(p) {
    describe_operation(tf32);
    layout(a_, p.right.matrix);
    layout(b_, p.left.matrix);
    layout(d_, p.out);
    out_bytes_ = static_cast<std::size_t>(e.columns) * bytes_of(p.out.dtype());
  }

  // Best first by the library's own judgement; none where it cannot do this epilogue.
  std::vector<cublasLtMatmulHeuristicResult_t> candidates() const;
  // Whether the library takes this algorithm here, with the workspace that there is.
  bool accepts(const cublasLtMatmulAlgo_t& algorithm) const;
  cublasStatus_t enqueue(const cublasLtMatmulAlgo_t& algorithm) const;
  // Of the fastest; null: the memory for what the timing overwrites is lacking, or none works.
  std::optional<ProductChoice> time(
      const std::vector<cublasLtMatmulHeuristicResult_t>& candidates) const;

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check(cublasLtMatmulDescSetAttribute(operation_.get(), attribute, &value, sizeof value));
  }
  void describe_operation(bool tf32);
  static void layout(Layout& layout, const ConstView& view) {
    check(cublasLtMatrixLayoutCreate(layout.out(), type_of(view.dtype()),
                                     static_cast<std::uint64_t>(view.columns()),
                                     static_cast<std::uint64_t>(view.rows()), leading(view)));
  }
  double milliseconds(const cublasLtMatmulAlgo_t& algorithm, cudaEvent_t begin,
                      cudaEvent_t end) const;
  void copy_out(void* kept, bool back) const;

  DeviceState& device_;
  const Product& product_;
  std::size_t out_bytes_ = 0;  // of a row
  MatmulDesc operation_;
  Layout a_, b_, d_;
};

void Request::describe_operation(bool tf32) {
  const Product& p = product_;
  check(cublasLtMatmulDescCreate(
      operation_.out(), tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, entry_of(p.epilogue).value);
  if (p.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias->raw());
  if (p.sums != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.sums);
  if (p.aux != nullptr) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.aux->raw());
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, leading(*p.aux));
  }
}

std::vector<cublasLtMatmulHeuristicResult_t> Request::candidates() const {
  Preference preference;
  check(cublasLtMatmulPreferenceCreate(preference.out()));
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
         static_cast<std::uint64_t>(DeviceState::kWorkspaceBytes));
  // Sums over parts of S are added in float32, never in out's own type.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  const std::uint32_t out = alignment_of(product_.out.raw());
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(product_.right.matrix.raw()));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(product_.left.matrix.raw()));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, out);
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out);

  std::vector<cublasLtMatmulHeuristicResult_t> found(kCandidates);
  int count = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      device_.cublas(), operation_.get(), a_.get(), b_.get(), d_.get(), d_.get(), preference.get(),
      kCandidates, found.data(), &count);
  // Epilogues have conditions on strides and types, which differ between versions.
  const bool cannot =
      status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
  if (!cannot) check(status);
  found.resize(cannot ? 0 : static_cast<std::size_t>(count));
  std::erase_if(found, [](const auto& result) { return result.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

bool Request::accepts(const cublasLtMatmulAlgo_t& algorithm) const {
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(device_.cublas(), operation_.get(), a_.get(), b_.get(), d_.get(),
                              d_.get(), &algorithm, &result);
  return status == CUBLAS_STATUS_SUCCESS && result.state == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= DeviceState::kWorkspaceBytes;
}

cublasStatus_t Request::enqueue(const cublasLtMatmulAlgo_t& algorithm) const {
  const float alpha = 1.0f, beta = product_.accumulate ? 1.0f : 0.0f;
  void* out = product_.out.raw();
  return cublasLtMatmul(device_.cublas(), operation_.get(), &alpha, product_.right.matrix.raw(),
                        a_.get(), product_.left.matrix.raw(), b_.get(), &beta, out, d_.get(), out,
                        d_.get(), &algorithm, device_.cublas_workspace(),
                        DeviceState::kWorkspaceBytes, device_.stream());
}

// Negative where the algorithm does not run.
double Request::milliseconds(const cublasLtMatmulAlgo_t& algorithm, cudaEvent_t begin,
                             cudaEvent_t end) const {
  if (enqueue(algorithm) != CUBLAS_STATUS_SUCCESS) return -1;  // the first also loads its code
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTimings; ++i) {
    check(cudaEventRecord(begin, device_.stream()));
    check(enqueue(algorithm));
    check(cudaEventRecord(end, device_.stream()));
    check(cudaEventSynchronize(end));
    float elapsed = 0;
    check(cudaEventElapsedTime(&elapsed, begin, end));
    least = std::min(least, static_cast<double>(elapsed));
  }
  return least;
}

void Request::copy_out(void* kept, bool back) const {
  const View& out = product_.out;
  const std::size_t stride = static_cast<std::size_t>(leading(out)) * bytes_of(out.dtype());
  check(cudaMemcpy2DAsync(back ? out.raw() : kept, back ? stride : out_bytes_,
                          back ? kept : out.raw(), back ? out_bytes_ : stride, out_bytes_,
                          static_cast<std::size_t>(out.rows()), cudaMemcpyDeviceToDevice,
                          device_.stream()));
}

std::optional<ProductChoice> Request::time(
    const std::vector<cublasLtMatmulHeuristicResult_t>& candidates) const {
  Handle<void*, cudaFree> kept;
  if (product_.accumulate) {
    const cudaError_t status =
        cudaMalloc(kept.out(), out_bytes_ * static_cast<std::size_t>(product_.out.rows()));
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // not sticky
      return std::nullopt;
    }
    check(status);
    copy_out(kept.get(), false);
  }
  TimedEvent begin, end;
  check(cudaEventCreate(begin.out()));
  check(cudaEventCreate(end.out()));
  std::optional<ProductChoice> best;
  for (const cublasLtMatmulHeuristicResult_t& candidate : candidates) {
    const double ms = milliseconds(candidate.algo, begin.get(), end.get());
    if (ms < 0 || (best && ms >= best->milliseconds)) continue;
    best.emplace();
    best->algorithm.emplace();
    std::memcpy(best->algorithm->data(), &candidate.algo, sizeof candidate.algo);
    best->milliseconds = ms;
  }
  if (product_.accumulate) {
    copy_out(kept.get(), true);
    check(cudaStreamSynchronize(device_.stream()));
  }
  return best;
}

bool timing_wanted() {
  const char* value = std::getenv("OVID_TIME_PRODUCTS");
  return value == nullptr || std::strcmp(value, "0") != 0;
}

ProductChoice choose(const DeviceState& device, const Request& request) {
  const std::vector<cublasLtMatmulHeuristicResult_t> candidates = request.candidates();
  ProductChoice choice;
  if (candidates.size() > 1 && !device.capturing() && timing_wanted()) {
    if (const std::optional<ProductChoice> timed = request.time(candidates)) choice = *timed;
  }
  if (!choice.algorithm && !candidates.empty()) {
    choice.algorithm.emplace();
    std::memcpy(choice.algorithm->data(), &candidates.front().algo, sizeof(cublasLtMatmulAlgo_t));
  }
  choice.accepted = true;
  return choice;
}

cublasLtMatmulAlgo_t algorithm_of(const ProductChoice& choice) {
  static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(*choice.algorithm));
  cublasLtMatmulAlgo_t algorithm{};
  std::memcpy(&algorithm, choice.algorithm->data(), sizeof algorithm);
  return algorithm;
}

void check_extents(const Extents& e) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (std::max({e.rows, e.columns, e.sum}) <= kMost) return;
  throw ShapeError("a matrix product of (" + std::to_string(e.rows) + ", " + std::to_string(e.sum) +
                   ") by (" + std::to_string(e.sum) + ", " + std::to_string(e.columns) +
                   ") has a side over " + std::to_string(kMost) +
                   ", cuBLASLt's limit; take fewer rows at a time");
}

}  // namespace

bool multiply(ExecutionContext& ctx, const Product& p) {
  DeviceState& device = state_of(ctx);
  const Extents e = extents_of(p);
  const bool plain = p.epilogue == ProductEpilogue::kNone;
  if (e.rows == 0 || e.columns == 0) return plain;
  if (e.sum == 0) {  // an empty sum, which the library does not take
    if (!p.accumulate) {
      const std::size_t element = bytes_of(p.out.dtype());
      check(cudaMemset2DAsync(p.out.raw(), static_cast<std::size_t>(leading(p.out)) * element, 0,
                              static_cast<std::size_t>(e.columns) * element,
                              static_cast<std::size_t>(e.rows), device.stream()));
    }
    return plain;
  }
  check_extents(e);
  // The library's conditions on aux.
  if (p.aux != nullptr && (leading(*p.aux) % 8 != 0 || alignment_of(p.aux->raw()) < 16)) {
    return false;
  }
  const bool tf32 = ctx.allows_tf32() && p.left.matrix.dtype() == DType::kFloat32;
  const std::string key = key_of(p, e, tf32);
  const Request request(device, p, e, tf32);
  ProductChoices& choices = device.choices();
  const ProductChoice* chosen = choices.find(key);
  if (chosen == nullptr) {
    choices.set(key, choose(device, request));
    chosen = choices.find(key);
  }
  if (!chosen->algorithm) {
    if (!plain) return false;
    throw DeviceError("cuBLASLt has no algorithm for the product " + key);
  }
  const cublasLtMatmulAlgo_t algorithm = algorithm_of(*chosen);
  if (!chosen->accepted) {
    if (!request.accepts(algorithm)) {
      throw DeviceError("the stored algorithm of the product \"" + key +
                        "\" does not fit cuBLASLt; delete the stored choices, so that it is chosen "
                        "anew");
    }
    ProductChoice accepted = *chosen;
    accepted.accepted = true;
    choices.set(key, accepted);
  }
  check(request.enqueue(algorithm));
  return true;
}

}  // namespace ovid::kernels::cuda
