#pragma once

#include <cassert>
#include <cstdint>

#include "kernels/common/dtype.h"
#include "kernels/common/shape.h"

namespace ovid::kernels {

// A tensor that somebody else owns: address, dtype, shape, C order. Rows (the last extent) are
// contiguous; row_stride is the distance between rows in elements, larger than the last extent
// where rows are padded. During a dry run (ExecutionContext::only_measures) the address is null. No
// default constructor, so that a forgotten operand does not compile.
class ConstView {
 public:
  ConstView(const void* data, DType dtype, Shape shape)
      : ConstView(data, dtype, shape, shape.last()) {}
  ConstView(const void* data, DType dtype, Shape shape, std::int64_t row_stride)
      : data_(data), shape_(shape), row_stride_(row_stride), dtype_(dtype) {
    assert(row_stride >= shape.last());
  }

  template <class T>
  const T* data() const {
    assert(stores<T>(dtype_));
    return static_cast<const T*>(data_);
  }
  const void* raw() const { return data_; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t row_stride() const { return row_stride_; }
  bool contiguous() const { return row_stride_ == shape_.last(); }
  std::int64_t elements() const { return shape_.elements(); }
  std::int64_t rows() const { return shape_.rows(); }
  std::int64_t columns() const { return shape_.last(); }

  // Rows [first, first + count) as a (count, columns) matrix.
  ConstView row_range(std::int64_t first, std::int64_t count) const {
    return {offset(first), dtype_, Shape{count, columns()}, row_stride_};
  }
  // The same elements under another shape; only where they are contiguous or the last extent stays.
  ConstView reshaped(Shape shape) const {
    assert(shape.elements() == elements() && (contiguous() || shape.last() == columns()));
    return {data_, dtype_, shape, contiguous() ? shape.last() : row_stride_};
  }

 protected:
  const void* offset(std::int64_t row) const {
    if (data_ == nullptr) return nullptr;
    return static_cast<const char*>(data_) +
           row * row_stride_ * static_cast<std::int64_t>(bytes_of(dtype_));
  }

 private:
  const void* data_;
  Shape shape_;
  std::int64_t row_stride_;
  DType dtype_;
};

// The same, writable.
class View : public ConstView {
 public:
  View(void* data, DType dtype, Shape shape) : ConstView(data, dtype, shape) {}
  View(void* data, DType dtype, Shape shape, std::int64_t row_stride)
      : ConstView(data, dtype, shape, row_stride) {}

  template <class T>
  T* data() const {
    return const_cast<T*>(ConstView::data<T>());
  }
  void* raw() const { return const_cast<void*>(ConstView::raw()); }
  View row_range(std::int64_t first, std::int64_t count) const {
    return {const_cast<void*>(offset(first)), dtype(), Shape{count, columns()}, row_stride()};
  }
  View reshaped(Shape shape) const {
    const ConstView view = ConstView::reshaped(shape);
    return {raw(), dtype(), shape, view.row_stride()};
  }
};

// What an op does with a gradient operand that already holds values.
enum class GradientMode : std::uint8_t { kOverwrite, kAccumulate };

}  // namespace ovid::kernels
