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

// The bytes of that file, for small ones that are kept as texts.
std::string safetensors_text(std::span<const NamedTensor> tensors, const Metadata& metadata);

// A file that several ranks write together: the one that write_safetensors would make of `whole`,
// whose addresses are not looked at. Writes `parts`, named "NAME@begin:end" by the elements of a
// tensor, at their places, and with `with_header` what comes before the tensors; leaves all else of
// the file as it is. Returns what was written, by "begin:end" in bytes of the file. Syncs. Throws
// as write_safetensors; std::invalid_argument for a part that is none of `whole`.
std::map<std::string, WrittenFile> write_safetensors_parts(const Path& path,
                                                           std::span<const NamedTensor> whole,
                                                           std::span<const NamedTensor> parts,
                                                           const Metadata& metadata,
                                                           bool with_header);

// The same as write_safetensors for a file of any bytes.
WrittenFile write_bytes(const Path& path, std::span<const std::byte> bytes);

}  // namespace ovid::checkpoint
