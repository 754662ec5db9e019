#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace ovid::kernels {

// Up to four extents, outermost first. A shape of rank 0 holds one element.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
    assert(extents.size() <= kMaxRank);
    int i = 0;
    for (const std::int64_t extent : extents) extents_[static_cast<std::size_t>(i++)] = extent;
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int i) const {
    assert(i >= 0 && i < rank_);
    return extents_[static_cast<std::size_t>(i)];
  }
  std::int64_t last() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  std::int64_t elements() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank_; ++i) product *= (*this)[i];
    return product;
  }
  // The product of all extents but the last: how many rows a row-wise op sees.
  std::int64_t rows() const {
    std::int64_t product = 1;
    for (int i = 0; i + 1 < rank_; ++i) product *= (*this)[i];
    return product;
  }
  bool operator==(const Shape& other) const = default;
  std::string text() const {  // "(4, 256, 768)"
    std::string out = "(";
    for (int i = 0; i < rank_; ++i) out += (i > 0 ? ", " : "") + std::to_string((*this)[i]);
    return out + ")";
  }

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace ovid::kernels
