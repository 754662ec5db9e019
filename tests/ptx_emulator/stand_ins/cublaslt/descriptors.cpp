#include "tests/ptx_emulator/stand_ins/cublaslt/descriptors.h"

#include <cstring>
#include <new>

#include "tests/ptx_emulator/stand_ins/support/explain.h"

namespace ptx_emulator::stand_ins {
namespace {

template <class Fields, class Opaque>
Fields* fields_in(Opaque* opaque) {
  static_assert(sizeof(Fields) <= sizeof(Opaque));
  return reinterpret_cast<Fields*>(opaque);
}

// The three kinds of functions that every descriptor has.
template <class Fields, class Opaque>
cublasStatus_t initialise(Opaque* opaque, std::size_t bytes, const Fields& fields) {
  if (opaque == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes < sizeof(Opaque)) return CUBLAS_STATUS_ALLOC_FAILED;
  std::memset(opaque, 0, sizeof(Opaque));
  std::memcpy(opaque, &fields, sizeof fields);
  return CUBLAS_STATUS_SUCCESS;
}

template <class Fields, class Opaque>
cublasStatus_t create(Opaque** created, const Fields& fields) {
  if (created == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  auto* const opaque = new (std::nothrow) Opaque;
  if (opaque == nullptr) return CUBLAS_STATUS_ALLOC_FAILED;
  *created = opaque;
  return initialise(opaque, sizeof(Opaque), fields);
}

template <class Opaque>
cublasStatus_t destroy(Opaque* opaque) {
  delete opaque;
  return CUBLAS_STATUS_SUCCESS;
}

constexpr AttributeSlot kLayoutSlots[] = {
    {CUBLASLT_MATRIX_LAYOUT_TYPE, offsetof(LayoutFields, type), 4},
    {CUBLASLT_MATRIX_LAYOUT_ORDER, offsetof(LayoutFields, order), 4},
    {CUBLASLT_MATRIX_LAYOUT_ROWS, offsetof(LayoutFields, rows), 8},
    {CUBLASLT_MATRIX_LAYOUT_COLS, offsetof(LayoutFields, cols), 8},
    {CUBLASLT_MATRIX_LAYOUT_LD, offsetof(LayoutFields, ld), 8},
    {CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, offsetof(LayoutFields, batch_count), 4},
    {CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, offsetof(LayoutFields, batch_stride), 8},
    {CUBLASLT_MATRIX_LAYOUT_PLANE_OFFSET, offsetof(LayoutFields, plane_offset), 8},
    {CUBLASLT_MATRIX_LAYOUT_BATCH_MODE, offsetof(LayoutFields, batch_mode), 4},
};

constexpr AttributeSlot kMatmulSlots[] = {
    {CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, offsetof(MatmulFields, compute_type), 4},
    {CUBLASLT_MATMUL_DESC_SCALE_TYPE, offsetof(MatmulFields, scale_type), 4},
    {CUBLASLT_MATMUL_DESC_POINTER_MODE, offsetof(MatmulFields, pointer_mode), 4},
    {CUBLASLT_MATMUL_DESC_TRANSA, offsetof(MatmulFields, transpose_a), 4},
    {CUBLASLT_MATMUL_DESC_TRANSB, offsetof(MatmulFields, transpose_b), 4},
    {CUBLASLT_MATMUL_DESC_TRANSC, offsetof(MatmulFields, transpose_c), 4},
    {CUBLASLT_MATMUL_DESC_FILL_MODE, offsetof(MatmulFields, fill_mode), 4},
    {CUBLASLT_MATMUL_DESC_EPILOGUE, offsetof(MatmulFields, epilogue), 4},
    {CUBLASLT_MATMUL_DESC_BIAS_POINTER, offsetof(MatmulFields, bias), 8},
    {CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, offsetof(MatmulFields, bias_batch_stride), 8},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, offsetof(MatmulFields, aux), 8},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, offsetof(MatmulFields, aux_ld), 8},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, offsetof(MatmulFields, aux_batch_stride), 8},
    {CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE, offsetof(MatmulFields, alpha_batch_stride), 8},
    {CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, offsetof(MatmulFields, sm_count_target), 4},
    {CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, offsetof(MatmulFields, scale_a), 8},
    {CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, offsetof(MatmulFields, scale_b), 8},
    {CUBLASLT_MATMUL_DESC_C_SCALE_POINTER, offsetof(MatmulFields, scale_c), 8},
    {CUBLASLT_MATMUL_DESC_D_SCALE_POINTER, offsetof(MatmulFields, scale_d), 8},
    {CUBLASLT_MATMUL_DESC_AMAX_D_POINTER, offsetof(MatmulFields, amax_d), 8},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, offsetof(MatmulFields, aux_type), 4},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_POINTER, offsetof(MatmulFields, aux_scale), 8},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER, offsetof(MatmulFields, aux_amax), 8},
    {CUBLASLT_MATMUL_DESC_FAST_ACCUM, offsetof(MatmulFields, fast_accumulation), 1},
    {CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, offsetof(MatmulFields, bias_type), 4},
    {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, offsetof(MatmulFields, scale_modes) + 0, 4},
    {CUBLASLT_MATMUL_DESC_B_SCALE_MODE, offsetof(MatmulFields, scale_modes) + 4, 4},
    {CUBLASLT_MATMUL_DESC_C_SCALE_MODE, offsetof(MatmulFields, scale_modes) + 8, 4},
    {CUBLASLT_MATMUL_DESC_D_SCALE_MODE, offsetof(MatmulFields, scale_modes) + 12, 4},
    {CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_MODE, offsetof(MatmulFields, scale_modes) + 16, 4},
    {CUBLASLT_MATMUL_DESC_D_OUT_SCALE_POINTER, offsetof(MatmulFields, d_out_scale), 8},
    {CUBLASLT_MATMUL_DESC_D_OUT_SCALE_MODE, offsetof(MatmulFields, d_out_scale_mode), 4},
    {CUBLASLT_MATMUL_DESC_EMULATION_DESCRIPTOR, offsetof(MatmulFields, emulation), 8},
};

constexpr AttributeSlot kPreferenceSlots[] = {
    {CUBLASLT_MATMUL_PREF_SEARCH_MODE, offsetof(PreferenceFields, search_mode), 4},
    {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, offsetof(PreferenceFields, max_workspace_bytes), 8},
    {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, offsetof(PreferenceFields, reduction_mask), 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, offsetof(PreferenceFields, min_alignment) + 0, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, offsetof(PreferenceFields, min_alignment) + 4, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, offsetof(PreferenceFields, min_alignment) + 8, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, offsetof(PreferenceFields, min_alignment) + 12, 4},
    {CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, offsetof(PreferenceFields, max_waves), 4},
    {CUBLASLT_MATMUL_PREF_IMPL_MASK, offsetof(PreferenceFields, implementation_mask), 8},
};

constexpr AttributeSlot kTransformSlots[] = {
    {CUBLASLT_MATRIX_TRANSFORM_DESC_SCALE_TYPE, offsetof(TransformFields, scale_type), 4},
    {CUBLASLT_MATRIX_TRANSFORM_DESC_POINTER_MODE, offsetof(TransformFields, pointer_mode), 4},
    {CUBLASLT_MATRIX_TRANSFORM_DESC_TRANSA, offsetof(TransformFields, transpose_a), 4},
    {CUBLASLT_MATRIX_TRANSFORM_DESC_TRANSB, offsetof(TransformFields, transpose_b), 4},
};

constexpr AttributeSlot kEmulationSlots[] = {
    {0, offsetof(EmulationFields, numbers) + 0, 4},
    {1, offsetof(EmulationFields, numbers) + 4, 4},
    {2, offsetof(EmulationFields, numbers) + 8, 4},
    {3, offsetof(EmulationFields, numbers) + 12, 4},
    {4, offsetof(EmulationFields, numbers) + 16, 4},
    {5, offsetof(EmulationFields, bit_count), 8},
};

LayoutFields layout_fields(cudaDataType type, std::uint64_t rows, std::uint64_t cols,
                           std::int64_t ld) {
  LayoutFields fields{};
  fields.type = static_cast<std::uint32_t>(type);
  fields.rows = rows;
  fields.cols = cols;
  fields.ld = ld;
  fields.batch_count = 1;
  return fields;
}

MatmulFields matmul_fields(cublasComputeType_t compute_type, cudaDataType_t scale_type) {
  MatmulFields fields{};
  fields.compute_type = compute_type;
  fields.scale_type = scale_type;
  fields.fill_mode = CUBLAS_FILL_MODE_FULL;
  fields.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  fields.aux_type = -1;
  fields.bias_type = -1;
  return fields;
}

PreferenceFields preference_fields() {
  PreferenceFields fields{};
  fields.reduction_mask = CUBLASLT_REDUCTION_SCHEME_MASK;
  for (std::uint32_t& bytes : fields.min_alignment) bytes = 256;
  fields.implementation_mask = ~std::uint64_t{0};
  return fields;
}

EmulationFields emulation_fields() {
  EmulationFields fields{};
  fields.numbers[CUBLASLT_EMULATION_DESC_SPECIAL_VALUES_SUPPORT] = 0xffff;
  return fields;
}

const AttributeSlot* find_slot(std::span<const AttributeSlot> slots, const char* function,
                               int attribute) {
  for (const AttributeSlot& slot : slots) {
    if (slot.attribute == attribute) return &slot;
  }
  complain(function, text("attribute %d is not known to this stand-in", attribute));
  return nullptr;
}

}  // namespace

cublasStatus_t set_attribute(std::span<const AttributeSlot> slots, const char* function,
                             void* fields, int attribute, const void* value, std::size_t bytes) {
  if (fields == nullptr || value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const AttributeSlot* const slot = find_slot(slots, function, attribute);
  if (slot == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (bytes != slot->bytes) {
    explain(function, text("attribute %d has %zu bytes, not %zu", attribute, slot->bytes, bytes));
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(static_cast<std::byte*>(fields) + slot->offset, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get_attribute(std::span<const AttributeSlot> slots, const char* function,
                             const void* fields, int attribute, void* value, std::size_t bytes,
                             std::size_t* written) {
  if (fields == nullptr || (bytes == 0 ? written == nullptr : value == nullptr))
    return CUBLAS_STATUS_INVALID_VALUE;
  const AttributeSlot* const slot = find_slot(slots, function, attribute);
  if (slot == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (bytes != 0 && bytes != slot->bytes) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes != 0) std::memcpy(value, static_cast<const std::byte*>(fields) + slot->offset, bytes);
  if (written != nullptr) *written = slot->bytes;
  return CUBLAS_STATUS_SUCCESS;
}

const LayoutFields* fields_of(const cublasLtMatrixLayoutOpaque_t* layout) {
  return fields_in<const LayoutFields>(layout);
}
const MatmulFields* fields_of(const cublasLtMatmulDescOpaque_t* description) {
  return fields_in<const MatmulFields>(description);
}
const PreferenceFields* fields_of(const cublasLtMatmulPreferenceOpaque_t* preference) {
  return fields_in<const PreferenceFields>(preference);
}
const TransformFields* fields_of(const cublasLtMatrixTransformDescOpaque_t* description) {
  return fields_in<const TransformFields>(description);
}

}  // namespace ptx_emulator::stand_ins

using namespace ptx_emulator::
    stand_ins;  // the library's own functions follow, in the global namespace

extern "C" {

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t layout, size_t bytes,
                                                 cudaDataType type, uint64_t rows, uint64_t cols,
                                                 int64_t ld) {
  return initialise(layout, bytes, layout_fields(type, rows, cols, ld));
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
  return create(layout, layout_fields(type, rows, cols, ld));
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  return destroy(layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  return set_attribute(kLayoutSlots, __func__, layout, attribute, value, bytes);
}
cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                void* value, size_t bytes, size_t* written) {
  return get_attribute(kLayoutSlots, __func__, layout, attribute, value, bytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t description, size_t bytes,
                                               cublasComputeType_t compute_type,
                                               cudaDataType_t scale_type) {
  return initialise(description, bytes, matmul_fields(compute_type, scale_type));
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* description,
                                        cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
  return create(description, matmul_fields(compute_type, scale_type));
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description) {
  return destroy(description);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  return set_attribute(kMatmulSlots, __func__, description, attribute, value, bytes);
}
cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t description,
                                              cublasLtMatmulDescAttributes_t attribute, void* value,
                                              size_t bytes, size_t* written) {
  return get_attribute(kMatmulSlots, __func__, description, attribute, value, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference,
                                                     size_t bytes) {
  return initialise(preference, bytes, preference_fields());
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference, preference_fields());
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  return set_attribute(kPreferenceSlots, __func__, preference, attribute, value, bytes);
}
cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    void* value, size_t bytes, size_t* written) {
  return get_attribute(kPreferenceSlots, __func__, preference, attribute, value, bytes, written);
}

cublasStatus_t cublasLtMatrixTransformDescInit_internal(cublasLtMatrixTransformDesc_t description,
                                                        size_t bytes, cudaDataType scale_type) {
  return initialise(description, bytes, TransformFields{scale_type, 0, 0, 0});
}
cublasStatus_t cublasLtMatrixTransformDescCreate(cublasLtMatrixTransformDesc_t* description,
                                                 cudaDataType scale_type) {
  return create(description, TransformFields{scale_type, 0, 0, 0});
}
cublasStatus_t cublasLtMatrixTransformDescDestroy(cublasLtMatrixTransformDesc_t description) {
  return destroy(description);
}
cublasStatus_t cublasLtMatrixTransformDescSetAttribute(
    cublasLtMatrixTransformDesc_t description, cublasLtMatrixTransformDescAttributes_t attribute,
    const void* value, size_t bytes) {
  return set_attribute(kTransformSlots, __func__, description, static_cast<int>(attribute), value,
                       bytes);
}
cublasStatus_t cublasLtMatrixTransformDescGetAttribute(
    cublasLtMatrixTransformDesc_t description, cublasLtMatrixTransformDescAttributes_t attribute,
    void* value, size_t bytes, size_t* written) {
  return get_attribute(kTransformSlots, __func__, description, static_cast<int>(attribute), value,
                       bytes, written);
}

cublasStatus_t cublasLtEmulationDescInit_internal(cublasLtEmulationDesc_t description,
                                                  size_t bytes) {
  return initialise(description, bytes, emulation_fields());
}
cublasStatus_t cublasLtEmulationDescCreate(cublasLtEmulationDesc_t* description) {
  return create(description, emulation_fields());
}
cublasStatus_t cublasLtEmulationDescDestroy(cublasLtEmulationDesc_t description) {
  return destroy(description);
}
cublasStatus_t cublasLtEmulationDescSetAttribute(cublasLtEmulationDesc_t description,
                                                 cublasLtEmulationDescAttributes_t attribute,
                                                 const void* value, size_t bytes) {
  return set_attribute(kEmulationSlots, __func__, description, attribute, value, bytes);
}
cublasStatus_t cublasLtEmulationDescGetAttribute(cublasLtEmulationDesc_t description,
                                                 cublasLtEmulationDescAttributes_t attribute,
                                                 void* value, size_t bytes, size_t* written) {
  return get_attribute(kEmulationSlots, __func__, description, attribute, value, bytes, written);
}

}  // extern "C"
