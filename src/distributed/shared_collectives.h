#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/distributed/flight_recorder.h"
#include "src/distributed/rank_signals.h"

namespace ovid::distributed {

// The collectives through memory that ranks share, in the calling thread, one at a time. Operands
// go piece by piece through rotating buffers; a rank writes a piece while others read the one
// before. Before any data leaves a buffer the headers of all ranks are compared.
class SharedCollectives {
 public:
  // `start` is called when all ranks have come to a collective.
  SharedCollectives(RankSegment& segment, RankSignals& signals, int rank,
                    std::function<void(std::int64_t sequence)> start);

  // Throws CollectiveError, RankError.
  void run(const CollectiveCall& call);
  void exchange(std::span<const std::byte> in, std::span<std::byte> out,
                const CollectiveHeader& header);

 private:
  // Elements [begin, end) of a row that is cut into pieces.
  struct Piece {
    std::int64_t begin;
    std::int64_t end;
    int buffer;
    std::int64_t elements() const { return end - begin; }
  };
  using OnPiece = std::function<void(const Piece&)>;
  // What a rank does with each piece: `fill` its own buffer; `take` what others filled and, where
  // they do, what they summed in between.
  struct Stages {
    CollectiveHeader header;
    std::int64_t elements;            // of the row that is cut
    std::int64_t elements_per_piece;  // at most: what a buffer has room for
    OnPiece fill;
    OnPiece sum = nullptr;
    OnPiece take;
  };

  void all_reduce(const CollectiveCall& call);
  void all_reduce_small(const CollectiveCall& call);
  void reduce_scatter(const CollectiveCall& call);
  void all_gather(const CollectiveCall& call);
  void broadcast(const CollectiveCall& call);
  void scatter(const CollectiveCall& call);

  void run_stages(Stages stages);
  void forget_old_steps();
  Piece piece_of(const Stages& stages, std::int64_t index) const;
  void compare_headers(const CollectiveHeader& header);
  // The addresses that `address` has for each rank, in order.
  std::span<const void* const> rows(const std::function<const std::byte*(int rank)>& address);

  RankSegment& segment_;
  RankSignals& signals_;
  int rank_;
  int count_;
  std::function<void(std::int64_t)> start_;
  int next_buffer_ = 0;
  // The step at which all ranks have read what is in a buffer.
  std::array<std::uint32_t, RankSegment::kBuffers> input_is_free_{};
  std::array<std::uint32_t, RankSegment::kBuffers> result_is_free_{};
  std::vector<const void*> rows_;
};

}  // namespace ovid::distributed
