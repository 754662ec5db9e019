#include "src/checkpoint/optimizer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/parameter_matching.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/staged_destination.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

struct Part {
  PartName::Range range;
  const StoredTensor* tensor;
};

// The parts of one destination, and what is wrong with them.
struct Assembly {
  const NamedDestination* destination;
  std::vector<Part> parts;
};

using Assemblies = std::map<std::string, Assembly, std::less<>>;

bool fits(const StoredTensor& tensor, const PartName& part, const kernels::View& view) {
  if (!part.range) return same_shape(tensor.shape, view.shape());
  const std::uint64_t count = part.range->end - part.range->begin;
  return part.range->end <= static_cast<std::uint64_t>(view.elements()) &&
         tensor.shape.size() == 1 && static_cast<std::uint64_t>(tensor.shape[0]) == count;
}

void add_file(const SafetensorsFile& file, Assemblies& assemblies,
              std::vector<std::string>& problems) {
  for (const std::string& name : file.names()) {
    const StoredTensor& tensor = file.tensor(name);
    const std::optional<PartName> part = parse_part_name(name);
    const auto found = part ? assemblies.find(part->tensor) : assemblies.end();
    if (found == assemblies.end()) {
      problems.push_back(fmt::format("'{}' belongs to no optimizer state of this run", name));
      continue;
    }
    const kernels::View& view = found->second.destination->view;
    if (tensor.dtype != "F32" || !fits(tensor, *part, view)) {
      problems.push_back(fmt::format("'{}' is {} {}, wanted is F32 {}", name, tensor.dtype,
                                     shape_text(tensor.shape), view.shape().text()));
      continue;
    }
    const PartName::Range whole{0, static_cast<std::uint64_t>(view.elements())};
    found->second.parts.push_back({part->range.value_or(whole), &tensor});
  }
}

// Every element exactly once: sorted, each part begins where the one before ended.
void check_coverage(const std::string& name, Assembly& assembly,
                    std::vector<std::string>& problems) {
  std::sort(assembly.parts.begin(), assembly.parts.end(), [](const Part& a, const Part& b) {
    return a.range.begin != b.range.begin ? a.range.begin < b.range.begin
                                          : a.range.end < b.range.end;
  });
  std::uint64_t covered = 0;
  for (const Part& part : assembly.parts) {
    if (part.range.begin != covered) {
      problems.push_back(fmt::format("'{}': elements {} to {} are there {}", name,
                                     std::min(covered, part.range.begin),
                                     std::max(covered, part.range.begin),
                                     part.range.begin < covered ? "twice" : "not at all"));
      return;
    }
    covered = part.range.end;
  }
  const auto elements = static_cast<std::uint64_t>(assembly.destination->view.elements());
  if (assembly.parts.empty() || covered != elements) {
    problems.push_back(fmt::format("'{}': {} of {} elements are there", name, covered, elements));
  }
}

void copy_part(const Part& part, const kernels::View& view, std::string_view name) {
  StoredTensor remaining = *part.tensor;
  if (view.contiguous()) {
    const auto count = static_cast<std::int64_t>(part.range.end - part.range.begin);
    remaining.shape = {count};
    read_as_float32(
        remaining,
        {view.data<float>() + part.range.begin, kernels::DType::kFloat32, kernels::Shape{count}},
        name);
    return;
  }
  // Rows are padded: the part falls into pieces, one for each row that it touches.
  const auto columns = static_cast<std::uint64_t>(view.columns());
  for (std::uint64_t begin = part.range.begin; begin < part.range.end;) {
    const std::uint64_t row = begin / columns, column = begin % columns;
    const std::uint64_t count = std::min(columns - column, part.range.end - begin);
    const StoredTensor piece{
        remaining.dtype,
        {static_cast<std::int64_t>(count)},
        remaining.bytes.subspan((begin - part.range.begin) * sizeof(float), count * sizeof(float))};
    float* target =
        view.data<float>() + row * static_cast<std::uint64_t>(view.row_stride()) + column;
    read_as_float32(
        piece, {target, kernels::DType::kFloat32, kernels::Shape{static_cast<std::int64_t>(count)}},
        name);
    begin += count;
  }
}

}  // namespace

std::optional<PartName> parse_part_name(std::string_view name) {
  const std::size_t at = name.rfind('@');
  if (at == std::string_view::npos) return PartName{name, std::nullopt};
  const char* end = name.data() + name.size();
  PartName::Range range;
  const auto first = std::from_chars(name.data() + at + 1, end, range.begin);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, range.end);
  if (second.ec != std::errc() || second.ptr != end || range.begin > range.end) return std::nullopt;
  return PartName{name.substr(0, at), range};
}

std::vector<Path> optimizer_files(const Path& checkpoint) {
  std::vector<Path> files;
  for (const auto& [name, file] : read_manifest(checkpoint).files) {
    if (name.rfind("optimizer-", 0) == 0 && Path(name).extension() == ".safetensors")
      files.push_back(checkpoint / name);
  }
  return files;
}

void load_optimizer(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  Assemblies assemblies;
  for (const NamedDestination& destination : destinations)
    assemblies[destination.name] = {&destination, {}};
  std::vector<SafetensorsFile> files;
  for (const Path& path : optimizer_files(checkpoint)) files.emplace_back(path);
  std::vector<std::string> problems;
  for (const SafetensorsFile& file : files) add_file(file, assemblies, problems);
  for (auto& [name, assembly] : assemblies) check_coverage(name, assembly, problems);
  refuse_problems(fmt::format("the optimizer state of {}", checkpoint.string()), problems);
  for (const auto& entry : assemblies) {  // clang 14 lets no lambda use the names of a binding
    fill_destination(*entry.second.destination, [&entry](const kernels::View& view) {
      for (const Part& part : entry.second.parts) {
        copy_part(part, view, entry.first);
        forget_mapped(part.tensor->bytes);
      }
    });
  }
}

void load_parameters(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  read_parameters(checkpoint, destinations);
}

bool has_average(const Path& checkpoint) {
  return std::filesystem::is_directory(checkpoint / kAverageFolder);
}

void load_average(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  if (!has_average(checkpoint)) {
    throw CheckpointError(
        fmt::format("{} holds no average of the weights (no folder {}): it was saved without "
                    "weight_average.decay",
                    checkpoint.string(), kAverageFolder));
  }
  read_parameters(checkpoint / kAverageFolder, destinations);
}

}  // namespace ovid::checkpoint
