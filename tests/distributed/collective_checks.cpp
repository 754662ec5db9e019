#include "tests/distributed/collective_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace ovid::test {

namespace {

using distributed::Communicator;
using kernels::ConstView;
using kernels::DType;
using kernels::Shape;
using kernels::View;
using Bytes = std::vector<std::byte>;

std::uint32_t scramble(std::uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}

float from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}
// Of numbers, to nearest even.
std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

template <class T>
void put(Bytes& row, std::int64_t i, T value) {
  std::memcpy(row.data() + static_cast<std::size_t>(i) * sizeof(T), &value, sizeof(T));
}
template <class T>
T get(const Bytes& row, std::int64_t i) {
  T value;
  std::memcpy(&value, row.data() + static_cast<std::size_t>(i) * sizeof(T), sizeof(T));
  return value;
}

// Row of one rank: magnitudes differ, so that another order of the sum gives other bits.
Bytes row_of(int rank, std::int64_t elements, DType dtype) {
  Bytes row(static_cast<std::size_t>(elements) * kernels::bytes_of(dtype));
  for (std::int64_t i = 0; i < elements; ++i) {
    const std::uint32_t random =
        scramble(static_cast<std::uint32_t>(rank * 1000003 + i) * 2654435761u + 17u);
    const float number =
        (static_cast<float>(random & 0xffffu) - 32768.0f) * static_cast<float>(1 << (random >> 28));
    switch (dtype) {
      case DType::kFloat64:
        put(row, i, static_cast<double>(number) / 3.0);
        break;
      case DType::kFloat32:
        put(row, i, number / 3.0f);
        break;
      case DType::kBfloat16:
        put(row, i, to_bfloat16(number));
        break;
      case DType::kInt32:
        put(row, i, random);
        break;
      default:
        put(row, i, static_cast<std::uint8_t>(random));
    }
  }
  return row;
}

template <class T>
void add(Bytes& sum, const Bytes& row) {
  for (std::size_t i = 0; i < sum.size() / sizeof(T); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    put<T>(sum, at, get<T>(sum, at) + get<T>(row, at));
  }
}

Bytes sum_of_rows(int count, std::int64_t elements, DType dtype) {
  Bytes sum = row_of(0, elements, dtype);
  if (dtype == DType::kBfloat16) {  // in float32, rounded once
    for (std::int64_t i = 0; i < elements; ++i) {
      float total = from_bfloat16(get<std::uint16_t>(sum, i));
      for (int r = 1; r < count; ++r) {
        const std::uint32_t random =
            scramble(static_cast<std::uint32_t>(r * 1000003 + i) * 2654435761u + 17u);
        total += from_bfloat16(to_bfloat16((static_cast<float>(random & 0xffffu) - 32768.0f) *
                                           static_cast<float>(1 << (random >> 28))));
      }
      put(sum, i, to_bfloat16(total));
    }
    return sum;
  }
  for (int r = 1; r < count; ++r) {
    const Bytes row = row_of(r, elements, dtype);
    if (dtype == DType::kFloat64) add<double>(sum, row);
    if (dtype == DType::kFloat32) add<float>(sum, row);
    if (dtype == DType::kInt32) add<std::uint32_t>(sum, row);
  }
  return sum;
}

class Check {
 public:
  Check(Communicator& communicator, OperandMemory& memory, DType dtype, std::int64_t part)
      : communicator_(communicator),
        memory_(memory),
        dtype_(dtype),
        part_(part),
        whole_(part * communicator.count()),
        part_bytes_(static_cast<std::size_t>(part) * kernels::bytes_of(dtype)) {}

  std::string sums() {
    const Bytes expected = sum_of_rows(communicator_.count(), whole_, dtype_);
    std::byte* const data = filled(row_of(communicator_.rank(), whole_, dtype_));
    communicator_.wait(communicator_.begin_all_reduce(view(data, whole_), "sum"));
    if (auto problem = compare(data, expected, "all_reduce"); !problem.empty()) return problem;

    std::byte* const in = filled(row_of(communicator_.rank(), whole_, dtype_));
    std::byte* const out = memory_.allocate(part_bytes_);
    communicator_.wait(
        communicator_.begin_reduce_scatter(view(in, whole_), view(out, part_), "part"));
    return compare(out, part_of(expected, communicator_.rank()), "reduce_scatter");
  }

  std::string copies() {
    const int rank = communicator_.rank(), count = communicator_.count(), root = count - 1;
    Bytes all;
    for (int r = 0; r < count; ++r) {
      const Bytes row = row_of(r, part_, dtype_);
      all.insert(all.end(), row.begin(), row.end());
    }
    std::byte* const out = memory_.allocate(all.size());
    std::byte* const in = filled(row_of(rank, part_, dtype_));
    communicator_.wait(communicator_.begin_all_gather(view(in, part_), view(out, whole_), "row"));
    if (auto problem = compare(out, all, "all_gather"); !problem.empty()) return problem;

    std::byte* const place = filled(Bytes(all.size()));
    std::byte* const own = place + static_cast<std::size_t>(rank) * part_bytes_;
    memory_.upload(own, row_of(rank, part_, dtype_));
    communicator_.wait(
        communicator_.begin_all_gather(view(own, part_), view(place, whole_), "in place"));
    if (auto problem = compare(place, all, "all_gather in place"); !problem.empty()) return problem;

    std::byte* const same = filled(row_of(rank, whole_, dtype_));
    communicator_.wait(communicator_.begin_broadcast(view(same, whole_), root, "same"));
    const Bytes of_root = row_of(root, whole_, dtype_);
    if (auto problem = compare(same, of_root, "broadcast"); !problem.empty()) return problem;

    std::byte* const piece = memory_.allocate(part_bytes_);
    std::byte* const source = filled(row_of(rank, whole_, dtype_));
    communicator_.wait(
        communicator_.begin_scatter(view(source, whole_), view(piece, part_), root, "piece"));
    return compare(piece, part_of(of_root, rank), "scatter");
  }

 private:
  View view(std::byte* data, std::int64_t elements) const {
    return {data, dtype_, Shape{elements}};
  }
  std::byte* filled(const Bytes& bytes) {
    std::byte* const data = memory_.allocate(bytes.size());
    memory_.upload(data, bytes);
    return data;
  }
  Bytes part_of(const Bytes& whole, int rank) const {
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(part_bytes_) * rank;
    return {begin, begin + static_cast<std::ptrdiff_t>(part_bytes_)};
  }
  std::string compare(const std::byte* data, const Bytes& expected, const char* what) {
    const Bytes got = memory_.download(data, expected.size());
    const auto [wrong, right] = std::mismatch(got.begin(), got.end(), expected.begin());
    if (wrong == got.end()) return "";
    return fmt::format("{} of {} {} on rank {} of {}: byte {} is {}, expected {}", what, whole_,
                       kernels::name_of(dtype_), communicator_.rank(), communicator_.count(),
                       wrong - got.begin(), static_cast<int>(*wrong), static_cast<int>(*right));
  }

  Communicator& communicator_;
  OperandMemory& memory_;
  DType dtype_;
  std::int64_t part_;
  std::int64_t whole_;
  std::size_t part_bytes_;
};

}  // namespace

std::byte* HostMemory::allocate(std::size_t bytes) {
  return blocks_.emplace_back(std::max<std::size_t>(bytes, 1)).data();
}
void HostMemory::upload(std::byte* to, std::span<const std::byte> bytes) {
  std::copy(bytes.begin(), bytes.end(), to);
}
std::vector<std::byte> HostMemory::download(const std::byte* from, std::size_t bytes) {
  return {from, from + bytes};
}

std::string check_collectives(Communicator& communicator, OperandMemory& memory,
                              const std::vector<std::int64_t>& sizes) {
  for (const std::int64_t size : sizes) {
    for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kFloat64, DType::kInt32}) {
      if (auto problem = Check(communicator, memory, dtype, size).sums(); !problem.empty()) {
        return problem;
      }
    }
    for (const DType dtype : {DType::kFloat32, DType::kUint8}) {
      if (auto problem = Check(communicator, memory, dtype, size).copies(); !problem.empty()) {
        return problem;
      }
    }
  }
  return "";
}

std::string check_overlap(Communicator& communicator, OperandMemory& memory) {
  constexpr int kRows = 12;
  constexpr std::int64_t kElements = 3001;
  const int count = communicator.count();
  std::vector<std::byte*> rows;
  std::vector<distributed::Ticket> tickets;
  for (int i = 0; i < kRows; ++i) {
    rows.push_back(memory.allocate(kElements * sizeof(float)));
    memory.upload(rows.back(), row_of(communicator.rank(), kElements, DType::kFloat32));
    tickets.push_back(
        communicator.begin_all_reduce({rows.back(), DType::kFloat32, Shape{kElements}}, "overlap"));
    if (i != kRows / 2) continue;
    std::vector<int> ranks(static_cast<std::size_t>(count), -1);
    const int own = communicator.rank();
    communicator.exchange(std::as_bytes(std::span(&own, 1)),
                          std::as_writable_bytes(std::span(ranks)), "ranks");
    for (int r = 0; r < count; ++r) {
      if (ranks[r] != r) return fmt::format("exchange: place {} has {}", r, ranks[r]);
    }
  }
  communicator.barrier("all are here");
  const Bytes expected = sum_of_rows(count, kElements, DType::kFloat32);
  for (int i = kRows - 1; i >= 0; --i) {
    communicator.wait(tickets[i]);
    if (memory.download(rows[i], expected.size()) != expected) {
      return fmt::format("row {} of {} in flight is wrong", i, kRows);
    }
  }
  return "";
}

}  // namespace ovid::test
