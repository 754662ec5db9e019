#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "kernels/common/view.h"
#include "src/core/file.h"

namespace ovid::kernels::cuda {
class Device;
}

namespace ovid::checkpoint {

// A tensor to be written; the view lies in host memory, or in that of `device`, and its rows may be
// padded (the file gets no padding).
struct NamedTensor {
  std::string name;
  kernels::ConstView view;
  kernels::cuda::Device* device = nullptr;
};

// What a manifest keeps of a file: its size and XXH3-128, taken of the bytes on their way to the
// file.
struct WrittenFile {
  std::uint64_t bytes = 0;
  std::string checksum;
};

using Metadata = std::map<std::string, std::string>;

// Size in bytes of the file that write_safetensors would make.
std::uint64_t safetensors_bytes(std::span<const NamedTensor> tensors, const Metadata& metadata);

// Creates `path` (which must not exist) with the tensors in the official order: by descending
// dtype, then by name; the header is padded with spaces to a multiple of 8. transformers requires
// the metadata {"format": "pt"}. Syncs the file. Throws ResourceError (disk); std::invalid_argument
// for a name twice or not in UTF-8.
WrittenFile write_safetensors(const Path& path, std::span<const NamedTensor> tensors,
                              const Metadata& metadata);

// The same for a file of any bytes.
WrittenFile write_bytes(const Path& path, std::span<const std::byte> bytes);

}  // namespace ovid::checkpoint
