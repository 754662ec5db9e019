#pragma once
// What lies behind cuBLASLt's semi-opaque structures. They are plain data: programs may copy them,
// keep them on the stack (the Init functions) and write them to files.

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ptx_emulator::stand_ins {

struct LayoutFields {
  std::uint32_t type;
  std::int32_t order;
  std::uint64_t rows;
  std::uint64_t cols;
  std::int64_t ld;
  std::int32_t batch_count;
  std::uint32_t batch_mode;
  std::int64_t batch_stride;
  std::int64_t plane_offset;
};

struct MatmulFields {
  std::int32_t compute_type;
  std::int32_t scale_type;
  std::int32_t pointer_mode;
  std::int32_t transpose_a;
  std::int32_t transpose_b;
  std::int32_t transpose_c;
  std::int32_t fill_mode;
  std::uint32_t epilogue;
  void* bias;
  std::int64_t bias_batch_stride;
  void* aux;
  std::int64_t aux_ld;
  std::int64_t aux_batch_stride;
  std::int64_t alpha_batch_stride;
  const void* scale_a;
  const void* scale_b;
  const void* scale_c;
  const void* scale_d;
  void* amax_d;
  const void* aux_scale;
  void* aux_amax;
  void* d_out_scale;
  void* emulation;
  std::int32_t sm_count_target;
  std::int32_t aux_type;
  std::int32_t bias_type;
  std::int32_t scale_modes[5];  // A, B, C, D, aux
  std::int32_t d_out_scale_mode;
  std::int8_t fast_accumulation;
};

struct PreferenceFields {
  std::uint32_t search_mode;
  std::uint32_t reduction_mask;
  std::uint64_t max_workspace_bytes;
  std::uint32_t min_alignment[4];  // A, B, C, D
  float max_waves;
  std::uint64_t implementation_mask;
};

struct TransformFields {
  std::int32_t scale_type;
  std::int32_t pointer_mode;
  std::int32_t transpose_a;
  std::int32_t transpose_b;
};

struct EmulationFields {
  std::int32_t numbers[5];
  void* bit_count;
};

// One attribute: where it lies in the fields above.
struct AttributeSlot {
  int attribute;
  std::size_t offset;
  std::size_t bytes;
};

// The library's rules of Set and Get: INVALID_VALUE for a missing buffer or another size,
// NOT_SUPPORTED (by name, on stderr) for an attribute that this stand-in does not know.
cublasStatus_t set_attribute(std::span<const AttributeSlot> slots, const char* function,
                             void* fields, int attribute, const void* value, std::size_t bytes);
cublasStatus_t get_attribute(std::span<const AttributeSlot> slots, const char* function,
                             const void* fields, int attribute, void* value, std::size_t bytes,
                             std::size_t* written);

// Views of the opaque structures; nullptr stays nullptr.
const LayoutFields* fields_of(const cublasLtMatrixLayoutOpaque_t* layout);
const MatmulFields* fields_of(const cublasLtMatmulDescOpaque_t* description);
const PreferenceFields* fields_of(const cublasLtMatmulPreferenceOpaque_t* preference);
const TransformFields* fields_of(const cublasLtMatrixTransformDescOpaque_t* description);

}  // namespace ptx_emulator::stand_ins
