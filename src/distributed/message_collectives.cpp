#include "src/distributed/message_collectives.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>

#include "src/distributed/ordered_sum.h"

namespace ovid::distributed {

namespace {

using Channel = MessageTransport::Channel;
using Clock = std::chrono::steady_clock;
using kernels::ConstView;
using kernels::View;

// Of the received pieces of one reduction: two rounds of them, so that one is added while the next
// is under way.
constexpr std::size_t kScratchBytes = std::size_t{32} << 20;
constexpr std::size_t kLeastPiece = std::size_t{16} << 10;
constexpr std::size_t kLargestPiece = std::size_t{512} << 10;

std::span<const std::byte> bytes_of_row(const ConstView& row) {
  return {static_cast<const std::byte*>(row.raw()),
          static_cast<std::size_t>(row.elements()) * kernels::bytes_of(row.dtype())};
}
std::span<std::byte> bytes_of_row(const View& row) {
  return {static_cast<std::byte*>(row.raw()),
          static_cast<std::size_t>(row.elements()) * kernels::bytes_of(row.dtype())};
}

// Waits between two looks: hardly at first, so that short messages are fast, then longer, so that
// ranks that share cores let each other work.
class Patience {
 public:
  void wait() {
    if (looks_ == 0) begin_ = Clock::now();
    ++looks_;
    if (looks_ < 64) return;
    if (Clock::now() - begin_ < std::chrono::milliseconds(2)) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

 private:
  int looks_ = 0;
  Clock::time_point begin_;
};

}  // namespace

MessageCollectives::MessageCollectives(MessageTransport& transport, std::function<void()> check)
    : transport_(transport),
      check_(std::move(check)),
      rank_(transport.ranks().rank),
      count_(transport.ranks().count) {}

void MessageCollectives::send(int to, ConstBytes bytes) {
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kLargestPiece * 64))) {
    pending_.push_back(transport_.send(to, Channel::kData,
                                       bytes.first(std::min(bytes.size(), kLargestPiece * 64))));
  }
}

void MessageCollectives::receive(int from, Bytes bytes) {
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kLargestPiece * 64))) {
    pending_.push_back(transport_.receive(from, Channel::kData,
                                          bytes.first(std::min(bytes.size(), kLargestPiece * 64))));
  }
}

void MessageCollectives::finish() {
  Patience patience;
  while (!pending_.empty()) {
    std::erase_if(pending_, [&](const auto request) { return transport_.done(request); });
    if (pending_.empty()) return;
    check_();
    patience.wait();
  }
}

void MessageCollectives::exchange(ConstBytes in, Bytes out) {
  const std::size_t size = in.size();
  if (size == 0) return;
  // Block i is of rank (rank_ + i) % count_ until the end.
  std::vector<std::byte> blocks(out.size());
  std::copy(in.begin(), in.end(), blocks.begin());
  for (int have = 1; have < count_; have *= 2) {
    const std::size_t more = size * static_cast<std::size_t>(std::min(have, count_ - have));
    const std::size_t held = size * static_cast<std::size_t>(have);
    receive((rank_ + have) % count_, Bytes(blocks).subspan(held, more));
    send((rank_ - have + count_) % count_, ConstBytes(blocks).first(more));
    finish();
  }
  for (int i = 0; i < count_; ++i) {
    std::memcpy(out.data() + size * static_cast<std::size_t>((rank_ + i) % count_),
                blocks.data() + size * static_cast<std::size_t>(i), size);
  }
}

void MessageCollectives::reduce_parts(const ConstView& row, const std::vector<std::int64_t>& first,
                                      std::byte* out) {
  const std::size_t width = kernels::bytes_of(row.dtype());
  const auto peers = static_cast<std::size_t>(count_ - 1);
  const std::size_t piece = std::clamp(kScratchBytes / (2 * std::max<std::size_t>(peers, 1)),
                                       kLeastPiece, kLargestPiece) /
                            64 * 64;
  if (scratch_.size() < 2 * peers * piece) scratch_.resize(2 * peers * piece);
  const ConstBytes all = bytes_of_row(row);
  // Piece k of the part of rank r, as bytes of the row; empty behind its end.
  const auto piece_of = [&](int r, std::size_t k) {
    const auto begin = static_cast<std::size_t>(first[r]) * width;
    const std::size_t end = static_cast<std::size_t>(first[r + 1]) * width;
    const std::size_t from = std::min(begin + k * piece, end);
    return all.subspan(from, std::min(piece, end - from));
  };
  // Slot of what rank r sent in round k; the ranks keep their order, this one has none.
  const auto slot_of = [&](int r, std::size_t k) {
    const auto place = static_cast<std::size_t>(r < rank_ ? r : r - 1);
    return scratch_.data() + ((k % 2) * peers + place) * piece;
  };
  std::size_t rounds = 0;
  for (int r = 0; r < count_; ++r) {
    const auto bytes = static_cast<std::size_t>(first[r + 1] - first[r]) * width;
    rounds = std::max(rounds, (bytes + piece - 1) / piece);
  }
  const auto begin_round = [&](std::size_t k) {
    for (int i = 1; i < count_; ++i) {  // each begins with another peer
      const int from = (rank_ - i + count_) % count_, to = (rank_ + i) % count_;
      receive(from, {slot_of(from, k), piece_of(rank_, k).size()});
      send(to, piece_of(to, k));
    }
  };
  std::vector<const void*> rows(static_cast<std::size_t>(count_));
  if (rounds > 0) begin_round(0);
  for (std::size_t k = 0; k < rounds; ++k) {
    finish();
    if (k + 1 < rounds) begin_round(k + 1);
    const ConstBytes own = piece_of(rank_, k);
    if (own.empty()) continue;
    for (int r = 0; r < count_; ++r) rows[r] = r == rank_ ? own.data() : slot_of(r, k);
    ordered_sum({.rows = rows,
                 .out = out + k * piece,
                 .dtype = row.dtype(),
                 .elements = static_cast<std::int64_t>(own.size() / width)});
  }
}

void MessageCollectives::reduce_scatter(const ConstView& in, const View& out) {
  std::vector<std::int64_t> first;
  for (int r = 0; r <= count_; ++r) first.push_back(r * out.elements());
  reduce_parts(in, first, bytes_of_row(out).data());
}

void MessageCollectives::all_reduce(const View& data) {
  // Parts begin at multiples of 64 bytes, so that no two ranks' sums share a cache line.
  const std::int64_t unit = 64 / static_cast<std::int64_t>(kernels::bytes_of(data.dtype()));
  const std::int64_t units = (data.elements() + unit - 1) / unit;
  std::vector<std::int64_t> first;
  for (int r = 0; r <= count_; ++r) {
    first.push_back(
        std::min(units / count_ * r + std::min<std::int64_t>(r, units % count_), units) * unit);
    first.back() = std::min(first.back(), data.elements());
  }
  const std::size_t width = kernels::bytes_of(data.dtype());
  const Bytes all = bytes_of_row(data);
  const auto part = [&](int r) {
    return all.subspan(static_cast<std::size_t>(first[r]) * width,
                       static_cast<std::size_t>(first[r + 1] - first[r]) * width);
  };
  reduce_parts(data, first, part(rank_).data());
  for (int i = 1; i < count_; ++i) {
    receive((rank_ - i + count_) % count_, part((rank_ - i + count_) % count_));
    send((rank_ + i) % count_, part(rank_));
  }
  finish();
}

void MessageCollectives::all_gather(const ConstView& in, const View& out) {
  const ConstBytes own = bytes_of_row(in);
  const auto part = [&](int r) {
    return bytes_of_row(out).subspan(static_cast<std::size_t>(r) * own.size(), own.size());
  };
  for (int i = 1; i < count_; ++i) {
    receive((rank_ - i + count_) % count_, part((rank_ - i + count_) % count_));
    send((rank_ + i) % count_, own);
  }
  if (part(rank_).data() != own.data() && !own.empty()) {
    std::memcpy(part(rank_).data(), own.data(), own.size());
  }
  finish();
}

void MessageCollectives::broadcast(const View& data, int root) {
  // A binomial tree over the places behind the root; pieces follow each other down it.
  const int place = (rank_ - root + count_) % count_;
  const auto rank_at = [&](int other) { return (other + root) % count_; };
  int above = 1;
  while (above < count_ && (place & above) == 0) above *= 2;
  const Bytes all = bytes_of_row(data);
  for (std::size_t at = 0; at < all.size(); at += kLargestPiece) {
    const Bytes piece = all.subspan(at, std::min(kLargestPiece, all.size() - at));
    if (place != 0) {
      receive(rank_at(place - above), piece);
      finish();  // also of the sends of the piece before
    }
    for (int below = above / 2; below > 0; below /= 2) {
      if (place + below < count_) send(rank_at(place + below), piece);
    }
  }
  finish();
}

void MessageCollectives::scatter(const ConstView& in, const View& out, int root) {
  const Bytes own = bytes_of_row(out);
  if (rank_ != root) {
    receive(root, own);
  } else {
    for (int r = 0; r < count_; ++r) {
      const ConstBytes part =
          bytes_of_row(in).subspan(static_cast<std::size_t>(r) * own.size(), own.size());
      if (r != rank_) {
        send(r, part);
      } else if (!own.empty() && part.data() != own.data()) {
        std::memmove(own.data(), part.data(), own.size());
      }
    }
  }
  finish();
}

}  // namespace ovid::distributed
