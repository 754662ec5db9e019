#include "src/distributed/communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "kernels/common/errors.h"
#include "kernels/common/operand_checks.h"

namespace ovid::distributed {
namespace {

using kernels::ConstView;
using kernels::DType;
using kernels::View;

CollectiveHeader header_of(CollectiveKind kind, std::int64_t sequence, std::uint64_t bytes,
                           DType dtype, int root, std::string_view label) {
  CollectiveHeader header;
  header.sequence = sequence;
  header.bytes = bytes;
  header.root = root;
  header.kind = kind;
  header.dtype = static_cast<std::uint8_t>(dtype);
  const std::size_t length = std::min<std::size_t>(label.size(), CollectiveHeader::kLabelBytes - 1);
  std::copy_n(label.begin(), length, header.label);
  return header;
}

std::uint64_t bytes_of_row(const ConstView& row) {
  return static_cast<std::uint64_t>(row.elements()) * kernels::bytes_of(row.dtype());
}

void check_row(CollectiveKind kind, const char* operand, const ConstView& row) {
  if (row.shape().rank() != 1 || !row.contiguous()) {
    kernels::throw_shape_error(name_of(kind), operand, row, "a flat row of one dimension");
  }
  if (row.raw() == nullptr && row.elements() > 0) {
    throw kernels::ShapeError(fmt::format("{}: {} has no memory", name_of(kind), operand));
  }
}

void check_sum_type(CollectiveKind kind, const ConstView& row) {
  if (row.dtype() == DType::kUint16 || row.dtype() == DType::kUint8) {
    kernels::throw_shape_error(name_of(kind), "the operand", row,
                               "float64, float32, bfloat16, float16 or int32");
  }
}

// `whole` has `count` parts of the size of `part`.
void check_parts(CollectiveKind kind, const char* operand, const ConstView& whole,
                 const ConstView& part, int count) {
  const bool fits = part.elements() <= std::numeric_limits<std::int64_t>::max() / count;
  if (!fits || whole.dtype() != part.dtype() || whole.elements() != part.elements() * count) {
    kernels::throw_shape_error(
        name_of(kind), operand, whole,
        fmt::format("{} parts of {}, one of each rank", count, kernels::describe(part)));
  }
}

void check_root(CollectiveKind kind, int root, int count) {
  if (root >= 0 && root < count) return;
  throw kernels::ShapeError(
      fmt::format("{}: root is rank {}, there are ranks 0 to {}", name_of(kind), root, count - 1));
}

}  // namespace

Ticket Communicator::begin_all_reduce(const View& data, std::string_view label) {
  constexpr CollectiveKind kKind = CollectiveKind::kAllReduce;
  check_row(kKind, "data", data);
  check_sum_type(kKind, data);
  return begin({.header = header_of(kKind, 0, bytes_of_row(data), data.dtype(), -1, label),
                .in = data,
                .out = data});
}

Ticket Communicator::begin_reduce_scatter(const ConstView& in, const View& out,
                                          std::string_view label) {
  constexpr CollectiveKind kKind = CollectiveKind::kReduceScatter;
  check_row(kKind, "in", in);
  check_row(kKind, "out", out);
  check_sum_type(kKind, in);
  check_parts(kKind, "in", in, out, count());
  return begin({.header = header_of(kKind, 0, bytes_of_row(in), in.dtype(), -1, label),
                .in = in,
                .out = out});
}

Ticket Communicator::begin_all_gather(const ConstView& in, const View& out,
                                      std::string_view label) {
  constexpr CollectiveKind kKind = CollectiveKind::kAllGather;
  check_row(kKind, "in", in);
  check_row(kKind, "out", out);
  check_parts(kKind, "out", out, in, count());
  return begin({.header = header_of(kKind, 0, bytes_of_row(out), out.dtype(), -1, label),
                .in = in,
                .out = out});
}

Ticket Communicator::begin_broadcast(const View& data, int root, std::string_view label) {
  constexpr CollectiveKind kKind = CollectiveKind::kBroadcast;
  check_row(kKind, "data", data);
  check_root(kKind, root, count());
  return begin({.header = header_of(kKind, 0, bytes_of_row(data), data.dtype(), root, label),
                .in = data,
                .out = data});
}

Ticket Communicator::begin_scatter(const ConstView& in, const View& out, int root,
                                   std::string_view label) {
  constexpr CollectiveKind kKind = CollectiveKind::kScatter;
  check_row(kKind, "out", out);
  check_root(kKind, root, count());
  std::optional<ConstView> whole;
  if (rank() == root) {
    check_row(kKind, "in", in);
    check_parts(kKind, "in", in, out, count());
    whole = in;
  }
  const std::uint64_t bytes = bytes_of_row(out) * static_cast<std::uint64_t>(count());
  return begin(
      {.header = header_of(kKind, 0, bytes, out.dtype(), root, label), .in = whole, .out = out});
}

Ticket Communicator::begin(CollectiveCall call) {
  call.header.sequence = ++sequence_;
  recorder_->begin(call.header);
  do_begin(call);
  return {call.header.sequence};
}

void Communicator::wait(Ticket ticket) {
  if (ticket.sequence < 1 || ticket.sequence > sequence_) {
    throw kernels::ShapeError(fmt::format("wait: no collective has the ticket {}; {} were begun",
                                          ticket.sequence, sequence_));
  }
  do_wait(ticket.sequence);
}

void Communicator::exchange(std::span<const std::byte> in, std::span<std::byte> out,
                            std::string_view label) {
  if (in.size() > out.size() || out.size() != in.size() * static_cast<std::size_t>(count())) {
    throw kernels::ShapeError(
        fmt::format("exchange '{}': out has {} bytes, expected {} of each of {} ranks", label,
                    out.size(), in.size(), count()));
  }
  const CollectiveHeader header =
      header_of(CollectiveKind::kExchange, ++sequence_, out.size(), DType::kUint8, -1, label);
  recorder_->begin(header);
  do_exchange(in, out, header);
}

void Communicator::barrier(std::string_view label) {
  const CollectiveHeader header =
      header_of(CollectiveKind::kBarrier, ++sequence_, 0, DType::kUint8, -1, label);
  recorder_->begin(header);
  do_exchange({}, {}, header);
}

}  // namespace ovid::distributed
