#include "tests/parity/distance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "tests/test_files.h"

namespace ovid::test {
namespace {

template <class T>
std::vector<T> read_as(const checkpoint::SafetensorsFile& file, const std::string& name,
                       std::string_view dtype) {
  const checkpoint::StoredTensor& tensor = file.tensor(name);
  if (tensor.dtype != dtype) throw std::runtime_error(name + " is not " + std::string(dtype));
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

}  // namespace

Distance distance(std::span<const float> value, std::span<const double> exact) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (value.size() != exact.size()) return {kInfinity, kInfinity};
  double largest = 0, squares = 0, norm = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double gap = static_cast<double>(value[i]) - exact[i];
    if (!std::isfinite(gap)) return {kInfinity, kInfinity};
    largest = std::max(largest, std::abs(gap));
    squares += gap * gap;
    norm += exact[i] * exact[i];
  }
  if (norm == 0) return {largest, squares == 0 ? 0 : kInfinity};
  return {largest, std::sqrt(squares / norm)};
}

double forward_tolerance(const model::ModelConfig& config, std::int64_t length) {
  const double C = static_cast<double>(config.width);
  const double D = C / static_cast<double>(config.heads);
  const double T = static_cast<double>(length);
  const double norms = 2 * C;
  const double attention = C + D + T + C;  // qkv, scores, weighted values, projection
  const double mlp = C + 4 * C;
  const double block = norms + attention + mlp;
  const double head = C + C;  // final norm and product
  return kFloat32Rounding * std::sqrt(static_cast<double>(config.layers) * block + head);
}

std::vector<double> read_float64(const checkpoint::SafetensorsFile& file, const std::string& name) {
  return read_as<double>(file, name, "F64");
}

std::vector<std::int32_t> read_int32(const checkpoint::SafetensorsFile& file,
                                     const std::string& name) {
  return read_as<std::int32_t>(file, name, "I32");
}

Path golden(const std::string& relative_path) {
  return source_directory() / "tests" / "golden" / relative_path;
}

}  // namespace ovid::test
