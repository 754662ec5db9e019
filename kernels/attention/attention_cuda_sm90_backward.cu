#include "kernels/attention/attention_cuda_sm90.cuh"
#include "kernels/attention/attention_cuda_sm90_key_gradient.cuh"
#include "kernels/attention/attention_cuda_sm90_query_gradient.cuh"
#include "kernels/cuda/check.cuh"

// Two kernels, each of which sums in registers what it writes: the scores and d_out v are
// multiplied twice (seven products in place of five), but nothing is added in global memory,
// neither atomically nor in turns, and all sums have a fixed order.
namespace ovid::kernels::cuda {

namespace sm90 {

// Barriers of a tile and of `stages` units.
template <class Layout>
__device__ __forceinline__ void init_barriers(std::uint32_t shared) {
  if (threadIdx.x == 0) {
    barrier_init(shared + Layout::kTileFull, 1);
    barrier_init(shared + Layout::kTileEmpty, kWarpsOfGroups);
    for (int i = 0; i < Layout::kStages; ++i) {
      barrier_init(shared + Layout::kFull + 8 * i, 1);
      barrier_init(shared + Layout::kEmpty + 8 * i, kWarpsOfGroups);
    }
    barrier_init_fence();
  }
  __syncthreads();
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    attention_query_gradient_kernel(const __grid_constant__ GradientMaps maps,
                                    const float* log_sum_exp, float* statistics, const Work work) {
#if OVID_CODE_FOR_SM90A
  extern __shared__ std::uint8_t memory[];
  const std::uint32_t shared = (shared_address(memory) + 1023) & ~1023u;
  init_barriers<QueryLayout>(shared);
  const int group = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpGroup, 0);
  if (group == 2) {
    registers_decrease<kCopyRegisters>();
    if (threadIdx.x == 2 * kWarpGroup) copy_for_queries(maps, work, shared);
    return;
  }
  registers_increase<kMultiplyRegisters>();
  if (group == 0) {
    QueryGradient<T, 0>(maps, log_sum_exp, statistics, work, shared).multiply_items();
  } else {
    QueryGradient<T, 1>(maps, log_sum_exp, statistics, work, shared).multiply_items();
  }
#else
  __trap();
#endif
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    attention_key_gradient_kernel(const __grid_constant__ GradientMaps maps,
                                  const float* statistics, const Work work) {
#if OVID_CODE_FOR_SM90A
  extern __shared__ std::uint8_t memory[];
  const std::uint32_t shared = (shared_address(memory) + 1023) & ~1023u;
  init_barriers<KeyLayout>(shared);
  const int group = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpGroup, 0);
  if (group == 2) {
    registers_decrease<kCopyRegisters>();
    if (threadIdx.x == 2 * kWarpGroup) copy_for_keys(maps, statistics, work, shared);
    return;
  }
  registers_increase<kMultiplyRegisters>();
  if (group == 0) {
    KeyGradient<T, 0>(maps, work, shared).multiply_items();
  } else {
    KeyGradient<T, 1>(maps, work, shared).multiply_items();
  }
#else
  __trap();
#endif
}

}  // namespace sm90

namespace {

using namespace sm90;

template <class T>
void launch(ExecutionContext& ctx, const AttentionGradient& op, const AttentionShape& shape) {
  const Work work = work_of(shape);
  const GradientMaps maps{make_tensor_map(op.qkv, kUnitRows), make_tensor_map(op.d_out, kUnitRows),
                          make_tensor_map(op.out, kUnitRows), make_tensor_map(op.d_qkv, kUnitRows)};
  ScratchFrame scratch(ctx);
  float* statistics = scratch.take<float>(attention_backward_sm90_statistics(shape)).data();
  const unsigned blocks = blocks_of(ctx, work);
  check(cudaFuncSetAttribute(attention_query_gradient_kernel<T>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, QueryLayout::kBytes));
  attention_query_gradient_kernel<T><<<blocks, kThreads, QueryLayout::kBytes, stream_of(ctx)>>>(
      maps, op.log_sum_exp.data<float>(), statistics, work);
  check_launch("attention_query_gradient");
  check(cudaFuncSetAttribute(attention_key_gradient_kernel<T>,
                             cudaFuncAttributeMaxDynamicSharedMemorySize, KeyLayout::kBytes));
  attention_key_gradient_kernel<T>
      <<<blocks, kThreads, KeyLayout::kBytes, stream_of(ctx)>>>(maps, statistics, work);
  check_launch("attention_key_gradient");
}

}  // namespace

std::int64_t attention_backward_sm90_statistics(const AttentionShape& shape) {
  return shape.sequences * shape.heads * tiles_of(shape) * 2 * kUnitStatistics;
}

bool attention_backward_sm90_takes(ExecutionContext& ctx, const AttentionGradient& op,
                                   const AttentionShape& shape) {
  return !op.dropout && shape.head_width == kWidth && takes(ctx, op.qkv, shape) &&
         tensor_map_takes(op.d_out) && tensor_map_takes(op.out) && tensor_map_takes(op.d_qkv);
}

void attention_backward_sm90(ExecutionContext& ctx, const AttentionGradient& op,
                             const AttentionShape& shape) {
  if (op.qkv.dtype() == DType::kBfloat16) return launch<__nv_bfloat16>(ctx, op, shape);
  launch<__half>(ctx, op, shape);
}

}  // namespace ovid::kernels::cuda
