#include "src/checkpoint/safetensors.h"

#include <cstdint>
#include <vector>

#include "src/checkpoint/optimizer_parts.h"
#include "tests/fuzz/fuzz_target.h"

// One safetensors file.
namespace ovid::fuzz {
namespace {

kernels::Shape shape_of(const std::vector<std::int64_t>& extents) {
  switch (extents.size()) {
    case 0:
      return {};
    case 1:
      return {extents[0]};
    default:
      return {extents[0], extents[1]};
  }
}

void read_values(const checkpoint::StoredTensor& tensor, const std::string& name) {
  if (tensor.shape.size() > 2) return;
  const kernels::Shape shape = shape_of(tensor.shape);
  if (!checkpoint::same_shape(tensor.shape, shape)) fail("a shape is not itself");
  // A byte more for each, so that an empty tensor has an address.
  std::vector<float> values(tensor.bytes.size() + 1);
  refuses([&] {
    checkpoint::read_as_float32(
        tensor, kernels::View(values.data(), kernels::DType::kFloat32, shape), name);
  });
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  const Path path = write_file("model.safetensors", input);
  refuses([&] {
    const checkpoint::SafetensorsFile file(path);
    std::size_t bytes = 0;
    for (const std::string& name : file.names()) {
      const checkpoint::StoredTensor& tensor = file.tensor(name);
      bytes += tensor.bytes.size();
      check_message(checkpoint::shape_text(tensor.shape));
      read_values(tensor, "a tensor");
      checkpoint::parse_part_name(name);
    }
    if (bytes > input.size()) fail("the tensors have more bytes than the file");
  });
}

}  // namespace ovid::fuzz
