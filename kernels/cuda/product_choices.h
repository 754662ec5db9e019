#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace ovid::kernels::cuda {

// What the algorithms' numbers mean something to.
struct ProductLibrary {
  std::string gpu;     // "NVIDIA H100 80GB HBM3"
  int capability = 0;  // 90
  std::uint64_t cublaslt_version = 0;
  bool operator==(const ProductLibrary&) const = default;
};

// What was chosen for one product.
struct ProductChoice {
  // The contents of cublasLtMatmulAlgo_t; nothing: the library has none for this epilogue, so that
  // kernels of ours do its work.
  std::optional<std::array<std::uint64_t, 8>> algorithm;
  double milliseconds = 0;  // measured; 0: the first candidate, taken without measuring
  // Whether the library has agreed: not yet where the choice was read.
  bool accepted = false;
};

// Which algorithm of cuBLASLt each matrix product takes, by a text that holds all that the choice
// depends on (kernels/cuda/products.cuh). Inside the CUDA module only.
class ProductChoices {
 public:
  explicit ProductChoices(ProductLibrary library) : library_(std::move(library)) {}

  // Null where nothing has been chosen.
  const ProductChoice* find(const std::string& key) const;
  void set(const std::string& key, const ProductChoice& choice);

  // All choices so far, as a JSON object:
  //   {"gpu": "...", "capability": 90, "cublaslt": 130100,
  //    "products": {"<key>": {"algorithm": "<128 hexadecimal digits>" or null,
  //                           "milliseconds": 0.1}}}
  std::string to_json() const;
  // Replaces them. {} is none; those of another GPU or version of cuBLASLt are none too, as they
  // mean nothing here. Throws DeviceError, and changes nothing, where the text is no such object.
  void from_json(const std::string& json);

 private:
  ProductLibrary library_;
  std::map<std::string, ProductChoice> choices_;
};

}  // namespace ovid::kernels::cuda
