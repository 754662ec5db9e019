#pragma once

#include <utility>

namespace ovid::kernels::cuda {

// Owns what a library's create function gave and its `destroy` takes back.
//   Handle<cudaEvent_t, cudaEventDestroy> event;
//   check(cudaEventCreate(event.out()));
template <class T, auto destroy>
class Handle {
 public:
  Handle() = default;
  ~Handle() {
    if (value_ != T{}) destroy(value_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  T get() const { return value_; }
  T* out() { return &value_; }  // for a create function, once

 private:
  T value_{};
};

}  // namespace ovid::kernels::cuda
