#include "tests/ptx_emulator/stand_ins/nccl/reduction.h"

#include <nccl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <vector>

#include "tests/ptx_emulator/stand_ins/support/number_format.h"

namespace ptx_emulator::stand_ins {
namespace {

struct TypeRow {
  NumberFormat format;
  const char* name;
};
// In the order of ncclDataType_t.
constexpr TypeRow kTypes[] = {
    {NumberFormat::kInt8, "ncclInt8"},
    {NumberFormat::kUint8, "ncclUint8"},
    {NumberFormat::kInt32, "ncclInt32"},
    {NumberFormat::kUint32, "ncclUint32"},
    {NumberFormat::kInt64, "ncclInt64"},
    {NumberFormat::kUint64, "ncclUint64"},
    {NumberFormat::kFloat16, "ncclFloat16"},
    {NumberFormat::kFloat32, "ncclFloat32"},
    {NumberFormat::kFloat64, "ncclFloat64"},
    {NumberFormat::kBfloat16, "ncclBfloat16"},
    {NumberFormat::kFloat8E4m3, "ncclFloat8e4m3"},
    {NumberFormat::kFloat8E5m2, "ncclFloat8e5m2"},
};
static_assert(std::size(kTypes) == ncclNumTypes);

template <class Number>
Number combine(int op, Number a, Number b) {
  switch (op) {
    case ncclProd:
      if constexpr (std::is_integral_v<Number>) {
        return static_cast<Number>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
      } else {
        return a * b;
      }
    case ncclMax:
      if constexpr (std::is_floating_point_v<Number>) return std::fmax(a, b);
      return std::max(a, b);
    case ncclMin:
      if constexpr (std::is_floating_point_v<Number>) return std::fmin(a, b);
      return std::min(a, b);
    default:
      if constexpr (std::is_integral_v<Number>) {
        return static_cast<Number>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
      } else {
        return a + b;
      }
  }
}

template <class Number>
void combine_all(const Reduction& reduction, Number* sum, const Number* values, std::size_t count,
                 bool first) {
  for (std::size_t i = 0; i < count; ++i) {
    const Number value =
        reduction.pre_multiply
            ? static_cast<Number>(values[i] * static_cast<Number>(reduction.factor))
            : values[i];
    sum[i] = first ? value : combine(reduction.op, sum[i], value);
  }
}

template <class Number>
void finish_average(const Reduction& reduction, Number* sum, std::size_t count, int num_inputs) {
  if (reduction.op != ncclAvg) return;
  for (std::size_t i = 0; i < count; ++i)
    sum[i] = static_cast<Number>(sum[i] / static_cast<Number>(num_inputs));
}

template <class Number>
void reduce_integers(const Reduction& reduction, const std::byte* const* inputs, int num_inputs,
                     std::size_t count, std::byte* out) {
  std::vector<Number> sum(count);
  for (int rank = 0; rank < num_inputs; ++rank) {
    combine_all(reduction, sum.data(), reinterpret_cast<const Number*>(inputs[rank]), count,
                rank == 0);
  }
  finish_average(reduction, sum.data(), count, num_inputs);
  std::memcpy(out, sum.data(), count * sizeof(Number));
}

template <class Real>
void reduce_reals(const Reduction& reduction, NumberFormat format, const std::byte* const* inputs,
                  int num_inputs, std::size_t count, std::byte* out) {
  std::vector<Real> sum(count);
  std::vector<Real> values(count);
  for (int rank = 0; rank < num_inputs; ++rank) {
    load(format, inputs[rank], count, values.data());
    combine_all(reduction, sum.data(), values.data(), count, rank == 0);
  }
  finish_average(reduction, sum.data(), count, num_inputs);
  store(format, sum.data(), count, out);
}

}  // namespace

std::size_t bytes_of_nccl_type(int type) {
  return type < 0 || type >= ncclNumTypes ? 0 : bytes_of(kTypes[type].format);
}
const char* name_of_nccl_type(int type) {
  return type < 0 || type >= ncclNumTypes ? "an unknown type" : kTypes[type].name;
}
double number_of_nccl_type(int type, const void* host) {
  double value = 0;
  load(kTypes[type].format, host, 1, &value);
  return value;
}
const char* name_of_nccl_reduction(int op) {
  constexpr const char* kNames[] = {"ncclSum", "ncclProd", "ncclMax", "ncclMin", "ncclAvg"};
  return op >= 0 && op < ncclNumOps ? kNames[op] : "a created operation";
}

void reduce(const Reduction& reduction, int type, const std::byte* const* inputs, int num_inputs,
            std::size_t count, std::byte* out) {
  switch (kTypes[type].format) {
    case NumberFormat::kInt8:
      return reduce_integers<std::int8_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kUint8:
      return reduce_integers<std::uint8_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kInt32:
      return reduce_integers<std::int32_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kUint32:
      return reduce_integers<std::uint32_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kInt64:
      return reduce_integers<std::int64_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kUint64:
      return reduce_integers<std::uint64_t>(reduction, inputs, num_inputs, count, out);
    case NumberFormat::kFloat64:
      return reduce_reals<double>(reduction, NumberFormat::kFloat64, inputs, num_inputs, count,
                                  out);
    default:
      return reduce_reals<float>(reduction, kTypes[type].format, inputs, num_inputs, count, out);
  }
}

}  // namespace ptx_emulator::stand_ins
