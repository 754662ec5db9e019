#pragma once

#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/shared_address.cuh"

// What only sm_90a has: tensor-map copies that report to barriers in shared memory, and products of
// a warp group (four warps, 128 threads) that run while it computes (PTX ISA: "mbarrier",
// "Asynchronous copy", "Asynchronous Warpgroup Level Matrix Instructions"). Functions of this file
// may be called only where OVID_CODE_FOR_SM90A is 1. Shared addresses are those of
// shared_address().
namespace ovid::kernels::cuda {

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define OVID_CODE_FOR_SM90A 1
#else
#define OVID_CODE_FOR_SM90A 0
#endif
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900 && !OVID_CODE_FOR_SM90A
#error "architecture 90 lacks what 90a has: name 90a in OVID_CUDA_ARCHITECTURES"
#endif

inline constexpr int kWarpGroup = 128;  // threads

// --- barriers in shared memory: 8 bytes each -----------------------------------------------------
// A barrier's phase ends when `arrivals` have come and all announced bytes have been written.
__device__ __forceinline__ void barrier_init(std::uint32_t barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Makes barrier_init visible to the copy engine; a __syncthreads() then does so for other threads.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
// Arrives, and announces bytes that copies will write before the phase may end.
__device__ __forceinline__ void barrier_arrive_expect(std::uint32_t barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
// Waits for the end of the phase of that parity: 0, 1, 0, ... The phase before the first counts as
// ended, parity 1. try_wait sleeps for a time that the hardware chooses.
__device__ __forceinline__ void barrier_wait(std::uint32_t barrier, unsigned parity) {
  unsigned done = 0;
  while (done == 0) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2;\n"
        "selp.u32 %0, 1, 0, done;\n"
        "}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  }
}

// --- the block's numbered barriers (1 to 15; 0 is __syncthreads) ---------------------------------
// Waits until `threads` threads have come, those that only arrive included; whole warps.
__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
// Comes without waiting.
__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// --- tensor-map copies ---------------------------------------------------------------------------
// One thread starts the copy of the map's box at element (column, row, matrix); what lies outside
// of the tensor arrives as zeros. The bytes of the whole box count on `barrier`.
__device__ __forceinline__ void copy_box_to_shared(std::uint32_t shared, const CUtensorMap& map,
                                                   std::uint32_t barrier, int column, int row,
                                                   int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared),
      "l"(&map), "r"(barrier), "r"(column), "r"(row), "r"(matrix)
      : "memory");
}
// `bytes` consecutive bytes; they and both addresses are multiples of 16.
__device__ __forceinline__ void copy_bytes_to_shared(std::uint32_t shared, const void* from,
                                                     std::uint32_t barrier, unsigned bytes) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
// As copy_box_to_shared, outwards; what lies outside of the tensor is not written. Belongs to the
// thread's next copies_commit().
__device__ __forceinline__ void copy_box_to_global(const CUtensorMap& map, std::uint32_t shared,
                                                   int column, int row, int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(&map),
      "r"(shared), "r"(column), "r"(row), "r"(matrix)
      : "memory");
}
__device__ __forceinline__ void copies_commit() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
// Until all of the thread's copies outwards have read shared memory, or have been written.
__device__ __forceinline__ void copies_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}
__device__ __forceinline__ void copies_wait() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
// Between a thread's ordinary writes to shared memory and a copy or product that reads them.
__device__ __forceinline__ void async_proxy_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}
// Four 8 x 8 matrices of 16-bit numbers: lane l gives the address of row l % 8 of matrix l / 8 (16
// bytes); lane l's r[i] holds elements 2 (l % 4) and one more of row l / 4 of matrix i.
__device__ __forceinline__ void store_matrices(std::uint32_t shared, const std::uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}

// The way back: r[i] receives elements 2 (l % 4) and one more of row l / 4 of matrix i.
__device__ __forceinline__ void load_matrices(std::uint32_t shared, std::uint32_t* r) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared)
               : "memory");
}
// Two neighbouring floats, 8-byte aligned.
__device__ __forceinline__ float2 load_floats(std::uint32_t shared) {
  float2 values;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];"
               : "=f"(values.x), "=f"(values.y)
               : "r"(shared)
               : "memory");
  return values;
}

// --- registers -----------------------------------------------------------------------------------
// The warp group gives registers back, or waits for more: `kCount` a thread, a multiple of 8.
template <int kCount>
__device__ __forceinline__ void registers_decrease() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void registers_increase() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}

// --- products of a warp group --------------------------------------------------------------------
// Descriptors of operands in shared memory that tensor maps wrote with CU_TENSOR_MAP_SWIZZLE_128B:
// panels of rows of 64 16-bit numbers (128 bytes), 8 rows in 1,024 bytes, panels 1,024-byte
// aligned.
//
// A or B as (rows, k) with k along the panel's rows; a step of 16 k is 32 bytes further.
__device__ __forceinline__ std::uint64_t descriptor_k_major(std::uint32_t shared) {
  return (std::uint64_t{1} << 62) | (std::uint64_t{1024 >> 4} << 32) | (1u << 16) | (shared >> 4);
}
// B as (k, columns) with the columns along the panel's rows; a step of 16 k is 2,048 bytes further;
// columns from 64 on lie in the next panel.
__device__ __forceinline__ std::uint64_t descriptor_n_major(std::uint32_t shared,
                                                            std::uint32_t panel_bytes) {
  return (std::uint64_t{1} << 62) | (std::uint64_t{1024 >> 4} << 32) | (panel_bytes >> 4 << 16) |
         (shared >> 4);
}
// The same, `bytes` further.
__device__ __forceinline__ std::uint64_t descriptor_at(std::uint64_t descriptor,
                                                       std::uint32_t bytes) {
  const std::uint32_t low = static_cast<std::uint32_t>(descriptor) + (bytes >> 4);
  return (descriptor >> 32 << 32) | low;
}

// Registers and shared memory written before are seen by the products that follow.
__device__ __forceinline__ void products_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
// The products since the last commit become a group.
__device__ __forceinline__ void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most kPending groups of this warp run; the others' accumulators are then there.
template <int kPending>
__device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// What `impossible` is computed from is computed before the products_wait() that follows: ptxas
// 13.0 otherwise moves the wait up to where the products were issued, and nothing runs beside them.
// It must be false for the whole warp, which ptxas cannot know.
__device__ __forceinline__ void keep_before_wait(bool impossible) {
  if (__any_sync(0xFFFFFFFFu, impossible)) __trap();
}
// The compiler moves no use of values[kBegin ...] to the other side of this line: it does not know
// that a product writes its accumulators later than it is issued.
template <int kBegin, int kCount>
__device__ __forceinline__ void keep_order(float (&values)[kCount]) {
#pragma unroll
  for (int i = kBegin; i < kCount; ++i) asm volatile("" : "+f"(values[i])::"memory");
}

// Accumulators: d[4 i + 2 r + e] of lane l of warp w is the element in row 16 w + l / 4 + 8 r and
// column 8 i + 2 (l % 4) + e of the 64-row product.
#define OVID_WGMMA_OUT_8(d, i)                                                                    \
  "+f"((d)[(i)]), "+f"((d)[(i) + 1]), "+f"((d)[(i) + 2]), "+f"((d)[(i) + 3]), "+f"((d)[(i) + 4]), \
      "+f"((d)[(i) + 5]), "+f"((d)[(i) + 6]), "+f"((d)[(i) + 7])
#define OVID_WGMMA_NAMES_32                                                \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define OVID_WGMMA_OUT_32(d) \
  OVID_WGMMA_OUT_8(d, 0), OVID_WGMMA_OUT_8(d, 8), OVID_WGMMA_OUT_8(d, 16), OVID_WGMMA_OUT_8(d, 24)
#define OVID_WGMMA_NAMES_64                                                          \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define OVID_WGMMA_OUT_64(d)                                                     \
  OVID_WGMMA_OUT_8(d, 0), OVID_WGMMA_OUT_8(d, 8), OVID_WGMMA_OUT_8(d, 16),       \
      OVID_WGMMA_OUT_8(d, 24), OVID_WGMMA_OUT_8(d, 32), OVID_WGMMA_OUT_8(d, 40), \
      OVID_WGMMA_OUT_8(d, 48), OVID_WGMMA_OUT_8(d, 56)
#define OVID_WGMMA_SHARED_32(type)                                                         \
  asm volatile(                                                                            \
      "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\n"                                     \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" OVID_WGMMA_NAMES_32 \
      "}, %32, %33, add, 1, 1, 0, 0;\n}"                                                   \
      : OVID_WGMMA_OUT_32(d)                                                               \
      : "l"(a), "l"(b), "r"(add ? 1 : 0))
#define OVID_WGMMA_SHARED_64(type)                                                          \
  asm volatile(                                                                             \
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"                                      \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" OVID_WGMMA_NAMES_64 \
      "}, %64, %65, add, 1, 1, 0, 0;\n}"                                                    \
      : OVID_WGMMA_OUT_64(d)                                                                \
      : "l"(a), "l"(b), "r"(add ? 1 : 0))
#define OVID_WGMMA_REGISTERS_32(type, transposed)                                          \
  asm volatile(                                                                            \
      "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\n"                                     \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" OVID_WGMMA_NAMES_32 \
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, " transposed ";\n}"                        \
      : OVID_WGMMA_OUT_32(d)                                                               \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add ? 1 : 0))
#define OVID_WGMMA_REGISTERS_64(type, transposed)                                           \
  asm volatile(                                                                             \
      "{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"                                      \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" OVID_WGMMA_NAMES_64 \
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, " transposed ";\n}"                         \
      : OVID_WGMMA_OUT_64(d)                                                                \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add ? 1 : 0))

// d = A B (+ d where `add`) for A (64, 16) and B (16, kColumns), both described as k-major. T is
// the operands' type; d points to kColumns / 2 accumulators.
template <class T, int kColumns>
__device__ __forceinline__ void product_of_shared(float* d, std::uint64_t a, std::uint64_t b,
                                                  bool add) {
  static_assert(kColumns == 64 || kColumns == 128);
  if constexpr (std::is_same_v<T, __half>) {
    if constexpr (kColumns == 64) OVID_WGMMA_SHARED_32("f16");
    if constexpr (kColumns == 128) OVID_WGMMA_SHARED_64("f16");
  } else {
    if constexpr (kColumns == 64) OVID_WGMMA_SHARED_32("bf16");
    if constexpr (kColumns == 128) OVID_WGMMA_SHARED_64("bf16");
  }
}
// The same with A in registers: a[0] and a[1] hold, for rows l / 4 and l / 4 + 8 of the warp's 16,
// columns 2 (l % 4) and one more, a[2] and a[3] those 8 further: what two neighbouring accumulator
// blocks hold. B is described as n-major or, without kNMajor, as k-major.
template <class T, int kColumns, bool kNMajor>
__device__ __forceinline__ void product_of_registers(float* d, const std::uint32_t* a,
                                                     std::uint64_t b, bool add) {
  static_assert(kColumns == 64 || kNMajor);
  static_assert(kColumns == 64 || kColumns == 128);
  constexpr bool kHalf = std::is_same_v<T, __half>;
  if constexpr (kColumns == 128) {
    if constexpr (kHalf) OVID_WGMMA_REGISTERS_64("f16", "1");
    if constexpr (!kHalf) OVID_WGMMA_REGISTERS_64("bf16", "1");
  } else if constexpr (kNMajor) {
    if constexpr (kHalf) OVID_WGMMA_REGISTERS_32("f16", "1");
    if constexpr (!kHalf) OVID_WGMMA_REGISTERS_32("bf16", "1");
  } else {
    if constexpr (kHalf) OVID_WGMMA_REGISTERS_32("f16", "0");
    if constexpr (!kHalf) OVID_WGMMA_REGISTERS_32("bf16", "0");
  }
}

#undef OVID_WGMMA_OUT_8
#undef OVID_WGMMA_NAMES_32
#undef OVID_WGMMA_OUT_32
#undef OVID_WGMMA_SHARED_32
#undef OVID_WGMMA_REGISTERS_32
#undef OVID_WGMMA_NAMES_64
#undef OVID_WGMMA_OUT_64
#undef OVID_WGMMA_SHARED_64
#undef OVID_WGMMA_REGISTERS_64

}  // namespace ovid::kernels::cuda
