#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/view.h"
#include "src/core/file.h"

// The safetensors format: an unsigned 64-bit little-endian N, N bytes of JSON, the tensors' bytes
// without a gap. Source: https://huggingface.co/docs/safetensors.
namespace ovid::checkpoint {

// A tensor in a mapped file. `dtype` is the format's own name ("F32"): files may hold dtypes that
// no kernel reads.
struct StoredTensor {
  std::string_view dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // little-endian, C order, of any alignment
};

// A safetensors file, mapped read-only, its whole header checked: limits, offsets that cover the
// data once without gap or overlap, dtype x shape equal to the bytes, no key twice. Values are not
// looked at. Throws CheckpointError naming the file, the tensor and the values.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const Path& path);

  const Path& path() const { return file_.path(); }
  std::vector<std::string> names() const;  // sorted
  bool contains(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
  // Lives as long as this file. Throws CheckpointError where the file holds no tensor of that name.
  const StoredTensor& tensor(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  MappedFile file_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

// "(2, 3)", the way kernels::Shape::text prints.
std::string shape_text(std::span<const std::int64_t> shape);
bool same_shape(std::span<const std::int64_t> stored, const kernels::Shape& shape);

// Copies a tensor of dtype F32, F16, BF16 or F64 into `destination`: float32 in host memory, the
// same shape (rows may be padded). F16 and BF16 convert exactly; F64 rounds to nearest, and a
// finite value beyond float32 is refused. `label` names the tensor in errors. Throws
// CheckpointError.
void read_as_float32(const StoredTensor& tensor, const kernels::View& destination,
                     std::string_view label);

}  // namespace ovid::checkpoint
