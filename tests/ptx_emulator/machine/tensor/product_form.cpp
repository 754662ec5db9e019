#include "tests/ptx_emulator/machine/tensor/product_form.h"

#include <utility>

namespace ptx_emulator::tensor {

std::optional<Element> element_named(std::string_view word) {
  static constexpr std::pair<std::string_view, Element> kNames[] = {
      {"f16", Element::kF16},   {"bf16", Element::kBf16}, {"tf32", Element::kTf32},
      {"f32", Element::kF32},   {"f64", Element::kF64},   {"e4m3", Element::kE4m3},
      {"e5m2", Element::kE5m2}, {"s8", Element::kS8},     {"u8", Element::kU8},
      {"s4", Element::kS4},     {"u4", Element::kU4},     {"b1", Element::kB1},
      {"s32", Element::kS32},
  };
  for (const auto& [name, element] : kNames) {
    if (name == word) return element;
  }
  return std::nullopt;
}

std::uint32_t bits_of(Element element) {
  switch (element) {
    case Element::kF64:
      return 64;
    case Element::kTf32:
    case Element::kF32:
    case Element::kS32:
      return 32;
    case Element::kF16:
    case Element::kBf16:
      return 16;
    case Element::kE4m3:
    case Element::kE5m2:
    case Element::kS8:
    case Element::kU8:
      return 8;
    case Element::kS4:
    case Element::kU4:
      return 4;
    case Element::kB1:
      return 1;
  }
  return 0;
}

namespace {

// Reads LETTER NUMBER at the front of `word`; numbers have at most three digits.
bool take(std::string_view& word, char letter, std::uint32_t& number) {
  if (word.empty() || word.front() != letter) return false;
  word.remove_prefix(1);
  std::size_t digits = 0;
  number = 0;
  while (digits < word.size() && digits < 3 && word[digits] >= '0' && word[digits] <= '9') {
    number = number * 10 + static_cast<std::uint32_t>(word[digits] - '0');
    ++digits;
  }
  word.remove_prefix(digits);
  return digits > 0;
}

}  // namespace

std::optional<Shape> shape_named(std::string_view word) {
  Shape shape;
  if (take(word, 'm', shape.M) && take(word, 'n', shape.N) && take(word, 'k', shape.K) &&
      word.empty()) {
    return shape;
  }
  return std::nullopt;
}

}  // namespace ptx_emulator::tensor
