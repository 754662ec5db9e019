#include "kernels/cuda/check.cuh"
#include "kernels/cuda/device_state.cuh"
#include "kernels/step_guard/guard_decision.h"
#include "kernels/step_guard/step_guard.h"

// One block. The host's sum runs from the first loss to the last, and so does this one: thread 0
// adds a piece that lies in shared memory, while the warps behind its own load the next one.
namespace ovid::kernels::cuda {

namespace {

constexpr int kThreads = 288;  // the adding warp, and 256 loading threads
constexpr int kLoaders = kThreads - 32;
constexpr int kPiece = 8 * kLoaders;

__device__ void load_piece(const float* losses, std::int64_t count, std::int64_t first,
                           float* piece) {
  for (int i = static_cast<int>(threadIdx.x) - 32; i < kPiece; i += kLoaders) {
    if (first + i < count) piece[i] = losses[first + i];
  }
}

__global__ void __launch_bounds__(kThreads, 1)
    guard_step(const float* losses, std::int64_t count, GuardMemory memory) {
  __shared__ float pieces[2][kPiece];
  const bool loads = threadIdx.x >= 32;
  if (loads) load_piece(losses, count, 0, pieces[0]);
  __syncthreads();
  double sum = 0;
  int now = 0;
  for (std::int64_t first = 0; first < count; first += kPiece) {
    if (loads) load_piece(losses, count, first + kPiece, pieces[1 - now]);
    if (threadIdx.x == 0) {
      const std::int64_t left = count - first;
      const int end = left < kPiece ? static_cast<int>(left) : kPiece;
#pragma unroll 8
      for (int i = 0; i < end; ++i) sum += static_cast<double>(pieces[now][i]);
    }
    __syncthreads();
    now = 1 - now;
  }
  if (threadIdx.x == 0) decide(memory, sum);
}

}  // namespace

void step_guard(ExecutionContext& ctx, const StepGuard& op) {
  guard_step<<<1, kThreads, 0, stream_of(ctx)>>>(op.losses.data<float>(), op.losses.elements(),
                                                 guard_memory(op));
  check_launch("step_guard");
}

}  // namespace ovid::kernels::cuda
