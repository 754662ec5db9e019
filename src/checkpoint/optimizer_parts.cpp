#include "src/checkpoint/optimizer_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <stdexcept>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/float_conversion.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/parameter_matching.h"
#include "src/checkpoint/range_reading.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/staged_destination.h"
#include "src/core/error.h"
#include "src/core/log.h"
#include "src/memory/transfer.h"

namespace ovid::checkpoint {
namespace {

// What optimizer.state float32 and bfloat16 are in a file.
constexpr const char* kExactType = "F32";
constexpr const char* kRoundedType = "BF16";

struct Part {
  PartName::Range range;
  const StoredTensor* tensor;
};

// The parts of one tensor.
struct Assembly {
  kernels::Shape shape;  // of the whole
  std::vector<Part> parts;
};

using Assemblies = std::map<std::string, Assembly, std::less<>>;

bool fits(const StoredTensor& tensor, const PartName& part, const kernels::Shape& shape) {
  if (!part.range) return same_shape(tensor.shape, shape);
  const std::uint64_t count = part.range->end - part.range->begin;
  return part.range->end <= static_cast<std::uint64_t>(shape.elements()) &&
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
    const kernels::Shape& shape = found->second.shape;
    const bool known_type = tensor.dtype == kExactType || tensor.dtype == kRoundedType;
    if (!known_type || !fits(tensor, *part, shape)) {
      problems.push_back(fmt::format("'{}' is {} {}, wanted is F32 or BF16 {}", name, tensor.dtype,
                                     shape_text(tensor.shape), shape.text()));
      continue;
    }
    const PartName::Range whole{0, static_cast<std::uint64_t>(shape.elements())};
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
  const auto elements = static_cast<std::uint64_t>(assembly.shape.elements());
  if (assembly.parts.empty() || covered != elements) {
    problems.push_back(fmt::format("'{}': {} of {} elements are there", name, covered, elements));
  }
}

// What of a tensor a destination holds, by its name.
struct WantedRange {
  const NamedDestination* destination;
  const Assembly* assembly;
  PartName::Range range;
};

WantedRange wanted_range(const NamedDestination& destination, const Assemblies& assemblies) {
  const std::optional<PartName> part = parse_part_name(destination.name);
  const auto found = part ? assemblies.find(part->tensor) : assemblies.end();
  if (found == assemblies.end()) {
    throw std::logic_error(fmt::format("'{}' is to be read, and no such tensor", destination.name));
  }
  const auto elements = static_cast<std::uint64_t>(found->second.shape.elements());
  const PartName::Range range = part->range.value_or(PartName::Range{0, elements});
  if (range.end > elements ||
      range.end - range.begin != static_cast<std::uint64_t>(destination.view.elements())) {
    throw std::logic_error(fmt::format("'{}' is to be read into {}", destination.name,
                                       destination.view.shape().text()));
  }
  return {&destination, &found->second, range};
}

// Elements `range` of a tensor, as float32 in host memory. Its parts lie side by side, sorted:
// those of a range are found by bisection.
void read_range(const WantedRange& wanted, PartName::Range range, const kernels::View& view) {
  const std::vector<Part>& parts = wanted.assembly->parts;
  auto part = std::upper_bound(
      parts.begin(), parts.end(), range.begin,
      [](std::uint64_t element, const Part& candidate) { return element < candidate.range.end; });
  for (; part != parts.end() && part->range.begin < range.end; ++part) {
    read_common_range(*part->tensor, part->range, range, view, wanted.destination->name);
    if (part->range.end <= range.end || range.end == wanted.range.end)
      forget_mapped(part->tensor->bytes);
  }
}

// A few elements at a time: where bfloat16 is wanted, memory is what the run is short of.
void fill_rounded(const WantedRange& wanted) {
  constexpr std::uint64_t kAtOnce = std::uint64_t{1} << 20;
  const std::uint64_t room = std::min(kAtOnce, wanted.range.end - wanted.range.begin);
  std::vector<float> exact(room);
  std::vector<std::uint16_t> rounded(room);
  auto* to = static_cast<std::uint16_t*>(wanted.destination->view.raw());
  for (std::uint64_t begin = wanted.range.begin; begin < wanted.range.end; begin += kAtOnce) {
    const std::uint64_t end = std::min(begin + kAtOnce, wanted.range.end), count = end - begin;
    const kernels::Shape shape{static_cast<std::int64_t>(count)};
    read_range(wanted, {begin, end}, {exact.data(), kernels::DType::kFloat32, shape});
    std::transform(exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(count),
                   rounded.begin(), nearest_bfloat16);
    memory::copy_to_device(wanted.destination->device, {to, kernels::DType::kBfloat16, shape},
                           {rounded.data(), kernels::DType::kBfloat16, shape});
    memory::synchronize(wanted.destination->device);
    to += count;
  }
}

void fill(const WantedRange& wanted) {
  if (wanted.range.begin == wanted.range.end) return;
  if (wanted.destination->view.dtype() == kernels::DType::kBfloat16) return fill_rounded(wanted);
  fill_destination(*wanted.destination, [&wanted](const kernels::View& view) {
    read_range(wanted, wanted.range, view);
  });
}

// Says so where the run keeps its moments in another number type than the checkpoint.
void note_change_of_type(const Path& checkpoint, std::span<const NamedDestination> destinations,
                         const Assemblies& assemblies) {
  if (destinations.empty()) return;
  const bool rounds = destinations.front().view.dtype() == kernels::DType::kBfloat16;
  const char* const other = rounds ? kExactType : kRoundedType;
  for (const auto& [name, assembly] : assemblies) {
    const bool differs =
        std::any_of(assembly.parts.begin(), assembly.parts.end(),
                    [other](const Part& part) { return part.tensor->dtype == other; });
    if (!differs) continue;
    log::info(fmt::format(
        "the moments in {} are {}", checkpoint.string(),
        rounds ? "float32: rounded to bfloat16" : "bfloat16: taken over as float32, exactly"));
    return;
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

std::string optimizer_file(int rank) {
  return fmt::format("optimizer-{:05}.safetensors", rank);
}

std::vector<Path> optimizer_files(const Path& checkpoint) {
  std::vector<Path> files;
  for (const auto& [name, file] : read_manifest(checkpoint).files) {
    if (name.rfind("optimizer-", 0) == 0 && Path(name).extension() == ".safetensors")
      files.push_back(checkpoint / name);
  }
  return files;
}

void load_optimizer_parts(const Path& checkpoint, std::span<const TensorSpecification> tensors,
                          std::span<const NamedDestination> destinations) {
  Assemblies assemblies;
  for (const TensorSpecification& tensor : tensors)
    assemblies.emplace(tensor.name, Assembly{tensor.shape, {}});
  std::vector<WantedRange> wanted;
  for (const NamedDestination& destination : destinations)
    wanted.push_back(wanted_range(destination, assemblies));
  std::vector<SafetensorsFile> files;
  for (const Path& path : optimizer_files(checkpoint)) files.emplace_back(path);
  std::vector<std::string> problems;
  for (const SafetensorsFile& file : files) add_file(file, assemblies, problems);
  for (auto& [name, assembly] : assemblies) check_coverage(name, assembly, problems);
  refuse_problems(fmt::format("the optimizer state of {}", checkpoint.string()), problems);
  note_change_of_type(checkpoint, destinations, assemblies);
  for (const WantedRange& range : wanted) fill(range);
}

void load_optimizer(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  std::vector<TensorSpecification> tensors;
  for (const NamedDestination& destination : destinations)
    tensors.push_back({destination.name, destination.view.shape()});
  load_optimizer_parts(checkpoint, tensors, destinations);
}

void load_parameters(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  read_parameters(checkpoint, destinations);
}

bool has_average(const Path& checkpoint) {
  return std::filesystem::is_directory(checkpoint / kAverageFolder);
}

namespace {

void require_average(const Path& checkpoint) {
  if (!has_average(checkpoint)) {
    throw CheckpointError(
        fmt::format("{} holds no average of the weights (no folder {}): it was saved without "
                    "weight_average.decay",
                    checkpoint.string(), kAverageFolder));
  }
}

}  // namespace

void load_average(const Path& checkpoint, std::span<const NamedDestination> destinations) {
  require_average(checkpoint);
  read_parameters(checkpoint / kAverageFolder, destinations);
}

void load_average_parts(const Path& checkpoint, const model::ModelConfig& config,
                        std::span<const NamedDestination> parts) {
  require_average(checkpoint);
  load_parameter_parts(checkpoint / kAverageFolder, config, parts);
}

}  // namespace ovid::checkpoint
