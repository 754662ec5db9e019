#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels::test {

// The epilogues of the products that the device has chosen algorithms for, and whether the library
// had one.
inline std::map<std::string, bool> product_paths() {
  const auto root = nlohmann::json::parse(cuda_device()->product_choices());
  std::map<std::string, bool> paths;
  for (const auto& [key, choice] : root.at("products").items()) {
    const std::string mark = "epilogue ";
    const std::size_t begin = key.find(mark) + mark.size();
    paths[key.substr(begin, key.find(',', begin) - begin)] = !choice.at("algorithm").is_null();
  }
  return paths;
}

}  // namespace ovid::kernels::test
