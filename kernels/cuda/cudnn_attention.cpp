#include "kernels/cuda/cudnn_attention.h"

#include <cuda_runtime_api.h>

#include <array>
#include <cmath>
#include <map>
#include <unordered_map>

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "kernels/cuda/check.cuh"

// Attention by cuDNN's graph interface; the only file that includes it, as it takes most of a
// minute to compile. A module of its own, libovid_cudnn.so.
namespace ovid::kernels::cuda {

namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using fe::graph::Tensor_attributes;
using Problem = CudnnAttentionProblem;

void check(fe::error_t status, const Problem& p, const char* what) {
  if (status.is_good()) return;
  throw DeviceError(std::string("cuDNN: ") + what + " of attention (B " +
                    std::to_string(p.sequences) + ", T " + std::to_string(p.length) + ", H " +
                    std::to_string(p.heads) + ", D " + std::to_string(p.head_width) + ", " +
                    name_of(p.dtype) + ") failed: " + status.get_message() +
                    "; set attention: flash");
}

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw DeviceError(std::string("cuDNN: ") + what + ": " + cudnnGetErrorString(status) +
                    "; set attention: flash");
}

// How the graph's tensors are told apart.
enum Uid : std::int64_t {
  kQuery = 1,
  kKey,
  kValue,
  kOut,
  kLogSumExp,
  kOutGradient,
  kQueryGradient,
  kKeyGradient,
  kValueGradient
};
constexpr std::array<const char*, 10> kUidNames{"",    "q",   "k",   "v",   "out",
                                                "lse", "d_o", "d_q", "d_k", "d_v"};

// (B, H, T, D), a part of rows of `row` numbers: the packed layouts are read by their strides.
Tensor_attributes heads_of(const Problem& p, Uid uid, std::int64_t row) {
  return Tensor_attributes()
      .set_name(kUidNames[uid])
      .set_uid(uid)
      .set_dim({p.sequences, p.heads, p.length, p.head_width})
      .set_stride({p.length * row, p.head_width, row, 1});
}

void make_output(const std::shared_ptr<Tensor_attributes>& tensor, Tensor_attributes like) {
  tensor->set_output(true)
      .set_name(like.get_name())
      .set_uid(like.get_uid())
      .set_dim(like.get_dim())
      .set_stride(like.get_stride());
}

Tensor_attributes statistics_of(const Problem& p) {
  return Tensor_attributes()
      .set_name(kUidNames[kLogSumExp])
      .set_uid(kLogSumExp)
      .set_dim({p.sequences, p.heads, p.length, 1})
      .set_stride({p.heads * p.length, p.length, 1, 1})
      .set_data_type(fe::DataType_t::FLOAT);
}

std::shared_ptr<Graph> empty_graph(const Problem& p) {
  auto graph = std::make_shared<Graph>();
  graph
      ->set_io_data_type(p.dtype == DType::kBfloat16 ? fe::DataType_t::BFLOAT16
                                                     : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
  return graph;
}

float scale_of(const Problem& p) {
  return 1.0f / std::sqrt(static_cast<float>(p.head_width));
}

std::shared_ptr<Graph> forward_graph(const Problem& p) {
  const std::int64_t C = p.heads * p.head_width;
  auto graph = empty_graph(p);
  const auto q = graph->tensor(heads_of(p, kQuery, 3 * C));
  const auto k = graph->tensor(heads_of(p, kKey, 3 * C));
  const auto v = graph->tensor(heads_of(p, kValue, 3 * C));
  auto settings = fe::graph::SDPA_attributes().set_name("attention_forward");
  settings.set_generate_stats(true).set_causal_mask(true).set_attn_scale(scale_of(p));
  const auto [out, statistics] = graph->sdpa(q, k, v, settings);
  make_output(out, heads_of(p, kOut, C));
  make_output(statistics, statistics_of(p));
  statistics->set_data_type(fe::DataType_t::FLOAT);
  return graph;
}

std::shared_ptr<Graph> backward_graph(const Problem& p) {
  const std::int64_t C = p.heads * p.head_width;
  auto graph = empty_graph(p);
  const auto q = graph->tensor(heads_of(p, kQuery, 3 * C));
  const auto k = graph->tensor(heads_of(p, kKey, 3 * C));
  const auto v = graph->tensor(heads_of(p, kValue, 3 * C));
  const auto out = graph->tensor(heads_of(p, kOut, C));
  const auto d_out = graph->tensor(heads_of(p, kOutGradient, C));
  const auto statistics = graph->tensor(statistics_of(p));
  auto settings = fe::graph::SDPA_backward_attributes().set_name("attention_backward");
  // Slower, but two runs give the same bits.
  settings.set_causal_mask(true).set_attn_scale(scale_of(p)).set_deterministic_algorithm(true);
  const auto [d_q, d_k, d_v] = graph->sdpa_backward(q, k, v, out, d_out, statistics, settings);
  make_output(d_q, heads_of(p, kQueryGradient, 3 * C));
  make_output(d_k, heads_of(p, kKeyGradient, 3 * C));
  make_output(d_v, heads_of(p, kValueGradient, 3 * C));
  return graph;
}

// Column `part` of C of rows of q | k | v.
void* part_of(const void* qkv, const Problem& p, int part) {
  const std::int64_t bytes =
      part * p.heads * p.head_width * static_cast<std::int64_t>(bytes_of(p.dtype));
  return const_cast<std::byte*>(static_cast<const std::byte*>(qkv) + bytes);
}

class CudnnDevice final : public CudnnAttention {
 public:
  CudnnDevice() { check(cudnnCreate(&handle_), "cudnnCreate"); }
  ~CudnnDevice() override {
    cudaFree(workspace_);
    cudnnDestroy(handle_);
  }
  CudnnDevice(const CudnnDevice&) = delete;
  CudnnDevice& operator=(const CudnnDevice&) = delete;

  void forward(const Problem& p, const CudnnAttentionForward& op, void* stream) override {
    run(plans_[0], &forward_graph, p,
        {{kQuery, part_of(op.qkv, p, 0)},
         {kKey, part_of(op.qkv, p, 1)},
         {kValue, part_of(op.qkv, p, 2)},
         {kOut, op.out},
         {kLogSumExp, op.log_sum_exp}},
        stream);
  }

  void backward(const Problem& p, const CudnnAttentionBackward& op, void* stream) override {
    run(plans_[1], &backward_graph, p,
        {{kQuery, part_of(op.qkv, p, 0)},
         {kKey, part_of(op.qkv, p, 1)},
         {kValue, part_of(op.qkv, p, 2)},
         {kOut, const_cast<void*>(op.out)},
         {kOutGradient, const_cast<void*>(op.d_out)},
         {kLogSumExp, const_cast<void*>(op.log_sum_exp)},
         {kQueryGradient, part_of(op.d_qkv, p, 0)},
         {kKeyGradient, part_of(op.d_qkv, p, 1)},
         {kValueGradient, part_of(op.d_qkv, p, 2)}},
        stream);
  }

 private:
  using Plans = std::map<Problem, std::shared_ptr<Graph>>;
  using Operands = std::unordered_map<std::int64_t, void*>;

  Graph& plan_of(Plans& plans, std::shared_ptr<Graph> (*make)(const Problem&), const Problem& p) {
    if (const auto found = plans.find(p); found != plans.end()) return *found->second;
    auto graph = make(p);
    check(graph->build(handle_, {fe::HeurMode_t::A}), p, "the plan");
    std::int64_t bytes = 0;
    check(graph->get_workspace_size(bytes), p, "the size of the work space");
    grow_workspace(bytes);
    return *plans.emplace(p, std::move(graph)).first->second;
  }

  // Freeing waits for what is enqueued, so that no kernel loses the memory it works in.
  void grow_workspace(std::int64_t bytes) {
    if (bytes <= workspace_bytes_) return;
    cuda::check(cudaFree(std::exchange(workspace_, nullptr)));
    workspace_bytes_ = 0;
    cuda::check(cudaMalloc(&workspace_, static_cast<std::size_t>(bytes)));
    workspace_bytes_ = bytes;
  }

  void run(Plans& plans, std::shared_ptr<Graph> (*make)(const Problem&), const Problem& p,
           Operands operands, void* stream) {
    check(cudnnSetStream(handle_, static_cast<cudaStream_t>(stream)), "cudnnSetStream");
    check(plan_of(plans, make, p).execute(handle_, operands, workspace_), p, "the run");
  }

  cudnnHandle_t handle_ = nullptr;
  Plans plans_[2];
  void* workspace_ = nullptr;
  std::int64_t workspace_bytes_ = 0;
};

std::string version() {
  const std::size_t v = cudnnGetVersion();  // 91900 is 9.19.0
  return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." +
         std::to_string(v % 100);
}

std::unique_ptr<CudnnAttention> open() {
  return std::make_unique<CudnnDevice>();
}

void validate(const Problem& p) {
  check(forward_graph(p)->validate(), p, "the forward graph");
  check(backward_graph(p)->validate(), p, "the backward graph");
}

}  // namespace

}  // namespace ovid::kernels::cuda

extern "C" __attribute__((visibility("default"))) const ovid::kernels::cuda::CudnnModule*
ovid_cudnn_module() {
  using namespace ovid::kernels::cuda;
  static const CudnnModule module{
      .interface = kCudnnInterface, .version = &version, .open = &open, .validate = &validate};
  return &module;
}
