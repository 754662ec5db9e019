#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"

// Optimizer state is stored by parameter name and range of elements, never by rank, so that any
// number of ranks reads what any other number wrote.
namespace ovid::checkpoint {

// "optimizer-00003.safetensors": what rank 3 wrote.
std::string optimizer_file(int rank);

// A stored name: "NAME" is a whole tensor, "NAME@begin:end" its elements [begin, end) in C order.
struct PartName {
  std::string_view tensor;
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  std::optional<Range> range;
};
// Nothing where the text after '@' is not two numbers with begin <= end.
std::optional<PartName> parse_part_name(std::string_view name);

// The optimizer-*.safetensors of a checkpoint, sorted by name.
std::vector<Path> optimizer_files(const Path& checkpoint);

}  // namespace ovid::checkpoint
