#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/selftest/bench.h"

namespace ovid::selftest {

// What one op is tried at: small sizes that do not fit vectors and tiles, or GPT-2's.
enum class Size { kSmall, kGpt2 };
inline const char* name_of(Size size) {
  return size == Size::kSmall ? "small" : "gpt2";
}

// One entry of an op against its double-precision reference.
struct OpCase {
  std::string name;                         // "layernorm_backward"
  std::function<void(Bench&, Size)> check;  // makes operands, runs, compares
  bool only_float32 = false;                // the entry knows no other number type
  // Whether this target has the entry in this number type; null: every one has.
  bool (*applies)(const memory::ComputeTarget& target, DType dtype) = nullptr;
};

// All entries of kernels/, in the order of the network.
std::vector<OpCase> op_cases();

std::vector<OpCase> row_cases();        // embedding, layernorm, gelu, dropout, convert
std::vector<OpCase> product_cases();    // linear, attention
std::vector<OpCase> optimizer_cases();  // loss, gradient norm, AdamW, average

// The gradient of one op's reference against central differences, all in double.
struct FormulaCase {
  std::string name;
  // The largest |difference| / max(1, |f|, |gradient|) over the elements.
  std::function<double()> error;
};
std::vector<FormulaCase> formula_cases();

}  // namespace ovid::selftest
