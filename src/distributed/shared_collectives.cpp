#include "src/distributed/shared_collectives.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/common/dtype.h"
#include "src/distributed/collective_text.h"
#include "src/distributed/ordered_sum.h"

namespace ovid::distributed {
namespace {

using kernels::DType;

// Below it, every rank sums everything for itself: one wait in place of two.
constexpr std::uint64_t kSmallBytes = 8192;

// Parts of a piece begin at lines, so that no two ranks write one.
constexpr std::int64_t kLineBytes = 64;

const std::byte* bytes_at(const void* data, std::int64_t element, std::size_t width) {
  return static_cast<const std::byte*>(data) + static_cast<std::size_t>(element) * width;
}

std::byte* bytes_at(void* data, std::int64_t element, std::size_t width) {
  return static_cast<std::byte*>(data) + static_cast<std::size_t>(element) * width;
}

void copy(const std::byte* from, std::byte* to, std::int64_t elements, std::size_t width) {
  if (elements > 0 && from != to) {
    std::memmove(to, from, static_cast<std::size_t>(elements) * width);
  }
}

std::size_t width_of(const CollectiveHeader& header) {
  return kernels::bytes_of(static_cast<DType>(header.dtype));
}

// A row is cut into eight pieces at least, so that ranks work at the same time, unless these would
// be so small that waiting takes longer.
std::int64_t piece_for(std::int64_t elements, std::int64_t capacity) {
  constexpr std::int64_t kWholeLines = 64;
  const std::int64_t eighth = (elements / 8 + kWholeLines - 1) / kWholeLines * kWholeLines;
  return std::min(capacity, std::max({eighth, capacity / 8, std::int64_t{1}}));
}

// A piece of `elements`, cut for the ranks.
struct Parts {
  std::int64_t elements;
  std::int64_t each;

  Parts(std::int64_t whole, int count, std::size_t width) : elements(whole) {
    const std::int64_t line = kLineBytes / static_cast<std::int64_t>(width);
    each = ((whole + count - 1) / count + line - 1) / line * line;
  }
  std::int64_t begin(int rank) const { return std::min(elements, each * rank); }
  std::int64_t end(int rank) const { return begin(rank + 1); }
};

}  // namespace

SharedCollectives::SharedCollectives(RankSegment& segment, RankSignals& signals, int rank,
                                     std::function<void(std::int64_t sequence)> start)
    : segment_(segment),
      signals_(signals),
      rank_(rank),
      count_(segment.count()),
      start_(std::move(start)) {}

void SharedCollectives::run(const CollectiveCall& call) {
  switch (call.header.kind) {
    case CollectiveKind::kAllReduce:
      return call.header.bytes <= kSmallBytes ? all_reduce_small(call) : all_reduce(call);
    case CollectiveKind::kReduceScatter:
      return reduce_scatter(call);
    case CollectiveKind::kAllGather:
      return all_gather(call);
    case CollectiveKind::kBroadcast:
      return broadcast(call);
    case CollectiveKind::kScatter:
      return scatter(call);
    case CollectiveKind::kExchange:
    case CollectiveKind::kBarrier:
      return;  // have a call of their own
  }
}

// Steps of all ranks, with P pieces and base b; a rank takes them in this order, so that it fills
// buffers for others before it waits for theirs:
//   fill piece t      b + 3 t + 1
//   sum piece t - 1   b + 3 t + 2
//   take piece t - 2  b + 3 t + 3       (t from 0 to P + 1)
// Without sums, taking waits for what was filled, one piece earlier.
void SharedCollectives::run_stages(Stages stages) {
  stages.elements_per_piece = piece_for(stages.elements, stages.elements_per_piece);
  const std::int64_t pieces = std::max<std::int64_t>(
      1, (stages.elements + stages.elements_per_piece - 1) / stages.elements_per_piece);
  const std::uint32_t base = signals_.done();
  const auto step = [&](std::int64_t t, std::uint32_t stage) {
    return base + 3 * static_cast<std::uint32_t>(t) + stage;
  };
  forget_old_steps();
  const bool has_sums = stages.sum != nullptr;
  const std::int64_t delay = has_sums ? 2 : 1;  // from filling a piece to taking it
  CollectiveHeader& shared = segment_.place(rank_).headers[stages.header.sequence % 2];
  shared = stages.header;
  for (std::int64_t t = 0; t < pieces + delay; ++t) {
    if (t < pieces) {
      const Piece piece = piece_of(stages, t);
      auto& is_free = input_is_free_[piece.buffer];
      signals_.wait_for_others(is_free);
      stages.fill(piece);
      signals_.post(step(t, 1));
      is_free = has_sums ? step(t + 1, 2) : step(t + delay, 3);
    }
    const std::int64_t filled = t - 1;
    if (filled >= 0 && filled < pieces) {
      signals_.wait_for_others(step(filled, 1));
      if (filled == 0) compare_headers(stages.header);
      if (has_sums) {
        const Piece piece = piece_of(stages, filled);
        auto& is_free = result_is_free_[piece.buffer];
        signals_.wait_for_others(is_free);
        stages.sum(piece);
        signals_.post(step(t, 2));
        is_free = step(t + 1, 3);
      }
    }
    const std::int64_t taken = t - delay;
    if (taken >= 0) {
      if (has_sums) signals_.wait_for_others(step(taken + 1, 2));
      stages.take(piece_of(stages, taken));
      signals_.post(step(t, 3));
    }
  }
  next_buffer_ = static_cast<int>((next_buffer_ + pieces) % RankSegment::kBuffers);
}

// Steps wrap around: one that lies 2^31 back would seem to be ahead. All ranks passed those of
// earlier collectives' middle long ago, so moving them up changes nothing.
void SharedCollectives::forget_old_steps() {
  constexpr std::uint32_t kLongAgo = std::uint32_t{1} << 30;
  const std::uint32_t base = signals_.done();
  for (int buffer = 0; buffer < RankSegment::kBuffers; ++buffer) {
    for (auto* const step : {&input_is_free_[buffer], &result_is_free_[buffer]}) {
      if (base - *step > kLongAgo) *step = base - kLongAgo;
    }
  }
}

SharedCollectives::Piece SharedCollectives::piece_of(const Stages& stages,
                                                     std::int64_t index) const {
  const std::int64_t begin = index * stages.elements_per_piece;
  return {.begin = begin,
          .end = std::min(stages.elements, begin + stages.elements_per_piece),
          .buffer = static_cast<int>((next_buffer_ + index) % RankSegment::kBuffers)};
}

void SharedCollectives::compare_headers(const CollectiveHeader& header) {
  std::vector<CollectiveHeader> headers;
  for (int other = 0; other < count_; ++other) {
    headers.push_back(segment_.place(other).headers[header.sequence % 2]);
  }
  require_equal_headers(headers);
  start_(header.sequence);
}

std::span<const void* const> SharedCollectives::rows(
    const std::function<const std::byte*(int rank)>& address) {
  rows_.clear();
  for (int other = 0; other < count_; ++other) rows_.push_back(address(other));
  return rows_;
}

void SharedCollectives::all_reduce(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  void* const data = call.out->raw();
  const auto parts_of = [&](const Piece& piece) { return Parts(piece.elements(), count_, width); };
  const auto fill = [&](const Piece& piece) {
    const Parts parts = parts_of(piece);
    std::byte* const buffer = segment_.input(rank_, piece.buffer);
    const std::int64_t first = parts.begin(rank_);
    const std::int64_t last = parts.end(rank_);
    copy(bytes_at(data, piece.begin, width), buffer, first, width);
    copy(bytes_at(data, piece.begin + last, width), bytes_at(buffer, last, width),
         parts.elements - last, width);
  };
  const auto sum = [&](const Piece& piece) {
    const Parts parts = parts_of(piece);
    const std::int64_t first = parts.begin(rank_);
    std::byte* const own = bytes_at(data, piece.begin + first, width);
    ordered_sum({.rows = rows([&](int other) {
                   return other == rank_
                              ? own
                              : bytes_at(segment_.input(other, piece.buffer), first, width);
                 }),
                 .out = own,
                 .copy = segment_.result(rank_, piece.buffer),
                 .dtype = call.out->dtype(),
                 .elements = parts.end(rank_) - first});
  };
  const auto take = [&](const Piece& piece) {
    const Parts parts = parts_of(piece);
    for (int i = 1; i < count_; ++i) {
      const int other = (rank_ + i) % count_;
      const std::int64_t first = parts.begin(other);
      copy(segment_.result(other, piece.buffer), bytes_at(data, piece.begin + first, width),
           parts.end(other) - first, width);
    }
  };
  run_stages({.header = call.header,
              .elements = call.out->elements(),
              .elements_per_piece = static_cast<std::int64_t>(segment_.input_bytes() / width),
              .fill = fill,
              .sum = sum,
              .take = take});
}

void SharedCollectives::all_reduce_small(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  void* const data = call.out->raw();
  const auto fill = [&](const Piece& piece) {
    copy(bytes_at(data, piece.begin, width), segment_.input(rank_, piece.buffer), piece.elements(),
         width);
  };
  const auto take = [&](const Piece& piece) {
    ordered_sum({.rows = rows([&](int other) { return segment_.input(other, piece.buffer); }),
                 .out = bytes_at(data, piece.begin, width),
                 .dtype = call.out->dtype(),
                 .elements = piece.elements()});
  };
  run_stages({.header = call.header,
              .elements = call.out->elements(),
              .elements_per_piece = static_cast<std::int64_t>(segment_.input_bytes() / width),
              .fill = fill,
              .take = take});
}

void SharedCollectives::reduce_scatter(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  const void* const in = call.in->raw();
  const std::int64_t part = call.out->elements();
  // The buffer has a part for every rank.
  const std::int64_t capacity = static_cast<std::int64_t>(segment_.input_bytes() / width) / count_;
  const auto fill = [&](const Piece& piece) {
    for (int i = 1; i < count_; ++i) {
      const int other = (rank_ + i) % count_;
      copy(bytes_at(in, other * part + piece.begin, width),
           bytes_at(segment_.input(rank_, piece.buffer), other * capacity, width), piece.elements(),
           width);
    }
  };
  const auto take = [&](const Piece& piece) {
    const std::byte* const own = bytes_at(in, rank_ * part + piece.begin, width);
    ordered_sum({.rows = rows([&](int other) {
                   return other == rank_ ? own
                                         : bytes_at(segment_.input(other, piece.buffer),
                                                    rank_ * capacity, width);
                 }),
                 .out = bytes_at(call.out->raw(), piece.begin, width),
                 .dtype = call.out->dtype(),
                 .elements = piece.elements()});
  };
  run_stages({.header = call.header,
              .elements = part,
              .elements_per_piece = capacity,
              .fill = fill,
              .take = take});
}

void SharedCollectives::all_gather(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  const std::int64_t part = call.in->elements();
  const void* const in = call.in->raw();
  void* const out = call.out->raw();
  const auto fill = [&](const Piece& piece) {
    copy(bytes_at(in, piece.begin, width), segment_.input(rank_, piece.buffer), piece.elements(),
         width);
  };
  const auto take = [&](const Piece& piece) {
    for (int i = 0; i < count_; ++i) {
      const int other = (rank_ + i) % count_;
      copy(other == rank_ ? bytes_at(in, piece.begin, width) : segment_.input(other, piece.buffer),
           bytes_at(out, other * part + piece.begin, width), piece.elements(), width);
    }
  };
  run_stages({.header = call.header,
              .elements = part,
              .elements_per_piece = static_cast<std::int64_t>(segment_.input_bytes() / width),
              .fill = fill,
              .take = take});
}

void SharedCollectives::broadcast(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  const int root = call.header.root;
  void* const data = call.out->raw();
  const auto fill = [&](const Piece& piece) {
    if (rank_ != root) return;
    copy(bytes_at(data, piece.begin, width), segment_.input(root, piece.buffer), piece.elements(),
         width);
  };
  const auto take = [&](const Piece& piece) {
    if (rank_ == root) return;
    copy(segment_.input(root, piece.buffer), bytes_at(data, piece.begin, width), piece.elements(),
         width);
  };
  run_stages({.header = call.header,
              .elements = call.out->elements(),
              .elements_per_piece = static_cast<std::int64_t>(segment_.input_bytes() / width),
              .fill = fill,
              .take = take});
}

void SharedCollectives::scatter(const CollectiveCall& call) {
  const std::size_t width = width_of(call.header);
  const int root = call.header.root;
  const std::int64_t part = call.out->elements();
  const std::int64_t capacity = static_cast<std::int64_t>(segment_.input_bytes() / width) / count_;
  const auto fill = [&](const Piece& piece) {
    if (rank_ != root) return;
    for (int other = 0; other < count_; ++other) {
      if (other == root) continue;
      copy(bytes_at(call.in->raw(), other * part + piece.begin, width),
           bytes_at(segment_.input(root, piece.buffer), other * capacity, width), piece.elements(),
           width);
    }
  };
  const auto take = [&](const Piece& piece) {
    const std::byte* const from =
        rank_ == root ? bytes_at(call.in->raw(), root * part + piece.begin, width)
                      : bytes_at(segment_.input(root, piece.buffer), rank_ * capacity, width);
    copy(from, bytes_at(call.out->raw(), piece.begin, width), piece.elements(), width);
  };
  run_stages({.header = call.header,
              .elements = part,
              .elements_per_piece = capacity,
              .fill = fill,
              .take = take});
}

void SharedCollectives::exchange(std::span<const std::byte> in, std::span<std::byte> out,
                                 const CollectiveHeader& header) {
  const auto fill = [&](const Piece& piece) {
    copy(bytes_at(in.data(), piece.begin, 1), segment_.input(rank_, piece.buffer), piece.elements(),
         1);
  };
  const auto take = [&](const Piece& piece) {
    for (int other = 0; other < count_; ++other) {
      copy(segment_.input(other, piece.buffer),
           bytes_at(out.data(), other * static_cast<std::int64_t>(in.size()) + piece.begin, 1),
           piece.elements(), 1);
    }
  };
  run_stages({.header = header,
              .elements = static_cast<std::int64_t>(in.size()),
              .elements_per_piece = static_cast<std::int64_t>(segment_.input_bytes()),
              .fill = fill,
              .take = take});
}

}  // namespace ovid::distributed
