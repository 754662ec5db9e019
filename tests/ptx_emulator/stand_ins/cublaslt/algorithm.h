#pragma once
// The algorithms that this stand-in pretends to choose from. They compute the same bits; they
// differ, as the real ones, in what they demand: alignment, workspace, split-K.

#include <cublasLt.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "tests/ptx_emulator/stand_ins/cublaslt/descriptors.h"

namespace ptx_emulator::stand_ins {

// The types that an algorithm is initialised for.
struct ProblemTypes {
  std::int32_t compute_type = 0;
  std::int32_t scale_type = 0;
  std::int32_t a = 0;
  std::int32_t b = 0;
  std::int32_t c = 0;
  std::int32_t d = 0;
  bool operator==(const ProblemTypes&) const = default;
};

// Contents of cublasLtMatmulAlgo_t; plain data, so that programs can store it.
struct AlgorithmFields {
  std::uint32_t magic;
  std::int32_t id;
  std::uint32_t tile;
  std::int32_t split_k;
  std::uint32_t reduction;
  std::uint32_t swizzling;
  std::uint32_t custom;
  std::uint32_t stages;
  std::uint16_t inner_shape;
  std::uint16_t cluster_shape;
  std::int16_t types[6];
};

// True for the combinations of the library's table that this stand-in computes on the device that
// is played; else the reason is explained.
bool types_supported(const char* function, const ProblemTypes& types);

std::vector<int> algorithm_ids(const ProblemTypes& types);
AlgorithmFields initial_algorithm(const ProblemTypes& types, int id);
ProblemTypes types_of(const AlgorithmFields& algorithm);
const AlgorithmFields* fields_of(const cublasLtMatmulAlgo_t* algorithm);

// Bytes that A, B, C and D have to be aligned to.
std::uint32_t min_alignment_bytes(const AlgorithmFields& algorithm);

// What one product needs of the algorithm; nothing where its configuration is impossible (the
// reason is explained).
struct AlgorithmNeeds {
  std::uint64_t workspace_bytes = 0;
  float waves = 0;
};
std::optional<AlgorithmNeeds> needs_of(const char* function, const AlgorithmFields& algorithm,
                                       const LayoutFields& d);

}  // namespace ptx_emulator::stand_ins
