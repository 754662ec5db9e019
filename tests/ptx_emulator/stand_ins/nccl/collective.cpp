#include "tests/ptx_emulator/stand_ins/nccl/collective.h"

#include <nccl.h>

#include <algorithm>
#include <cstring>

#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

// One local rank's part: operands as host memory.
struct Part {
  int rank = 0;
  const std::byte* send = nullptr;
  std::byte* receive = nullptr;
  Reduction reduction;
};

class Collective {
 public:
  Collective(SharedSegment& segment, const std::vector<LocalCall>& calls)
      : segment_(segment),
        calls_(calls),
        call_(*calls.front().call),
        num_ranks_(static_cast<std::uint64_t>(segment.num_ranks())),
        element_(bytes_of_nccl_type(call_.type)),
        activity_(describe(call_)) {
    for (const LocalCall& local : calls) ranks_.push_back(local.rank);
  }

  void run() {
    agree();
    for (const LocalCall& local : calls_) parts_.push_back(open(local));
    // Pieces so that n of them fit one area where every rank has one for every other.
    const bool many = call_.kind == Kind::kReduceScatter || call_.kind == Kind::kScatter ||
                      call_.kind == Kind::kAllToAll;
    const std::uint64_t step = kAreaBytes / element_ / (many ? num_ranks_ : 1);
    for (std::uint64_t begin = 0; begin < call_.count; begin += step) {
      const std::uint64_t length = std::min(step, call_.count - begin);
      for (const Part& part : parts_) contribute(part, begin, length);
      meet();
      if (call_.kind == Kind::kAllReduce || call_.kind == Kind::kReduce) {
        for (const Part& part : parts_) reduce_share(part, length);
        meet();
      }
      for (const Part& part : parts_) take(part, begin, length);
      meet();
    }
  }

 private:
  // All ranks reach this point.
  void meet() {
    std::uint64_t target = 0;
    for (const int rank : ranks_) target = segment_.slot(rank).arrived.fetch_add(1) + 1;
    segment_.wake();
    segment_.wait(ranks_, activity_, [&] {
      for (int rank = 0; rank < segment_.num_ranks(); ++rank) {
        if (segment_.slot(rank).arrived.load() < target) return false;
      }
      return true;
    });
  }

  // Every rank says what it is about to do; where they differ nobody goes on. Slots alternate, so
  // that a fast rank's next description does not replace one that is still read.
  void agree() {
    std::size_t slot = 0;
    for (const int rank : ranks_) slot = segment_.slot(rank).operations++ % 2;
    for (const LocalCall& local : calls_) {
      const NcclCall& call = *local.call;
      segment_.slot(local.rank).call[slot] = {static_cast<std::int32_t>(call.kind), call.type,
                                              call.reduction_number, call.root, call.count};
    }
    meet();
    const CallDescription first = segment_.slot(0).call[slot];
    bool same = true;
    for (int rank = 1; rank < segment_.num_ranks(); ++rank)
      same = same && segment_.slot(rank).call[slot] == first;
    if (same) return;
    std::string message = "the ranks' calls differ:";
    for (int rank = 0; rank < segment_.num_ranks(); ++rank) {
      const CallDescription& d = segment_.slot(rank).call[slot];
      NcclCall call;
      call.kind =
          static_cast<Kind>(std::clamp(d.kind, 0, static_cast<std::int32_t>(Kind::kReceive)));
      call.type = d.type;
      call.reduction_number = d.reduction;
      call.root = d.root;
      call.count = d.count;
      message += text("%s rank %d calls %s", rank == 0 ? "" : ";", rank, describe(call).c_str());
    }
    segment_.fail(ncclInvalidUsage, message);
    throw CommunicationError(ncclInvalidUsage, message);
  }

  Part open(const LocalCall& local) const {
    const NcclCall& call = *local.call;
    const bool root = local.rank == call.root;
    std::uint64_t sent = call.count;
    std::uint64_t received = call.count;
    switch (call.kind) {
      case Kind::kReduce:
        received = root ? received : 0;
        break;
      case Kind::kReduceScatter:
        sent *= num_ranks_;
        break;
      case Kind::kAllGather:
        received *= num_ranks_;
        break;
      case Kind::kBroadcast:
        sent = root ? sent : 0;
        break;
      case Kind::kGather:
        received = root ? received * num_ranks_ : 0;
        break;
      case Kind::kScatter:
        sent = root ? sent * num_ranks_ : 0;
        break;
      case Kind::kAllToAll:
        sent *= num_ranks_;
        received *= num_ranks_;
        break;
      default:
        break;
    }
    Part part;
    part.rank = local.rank;
    part.reduction = call.reduction;
    if (sent > 0)
      part.send =
          static_cast<const std::byte*>(host_pointer(call.send, sent * element_, "send buffer"));
    if (received > 0)
      part.receive = static_cast<std::byte*>(
          writable_pointer(call.receive, received * element_, "receive buffer"));
    if (call.device_factor != nullptr) {
      part.reduction.factor = number_of_nccl_type(
          call.type, host_pointer(call.device_factor, element_, "factor of the reduction"));
    }
    return part;
  }

  void copy_pieces(const Part& part, std::uint64_t begin, std::uint64_t length) {
    for (std::uint64_t piece = 0; piece < num_ranks_; ++piece) {
      std::memcpy(segment_.contribution(part.rank) + piece * length * element_,
                  part.send + (piece * call_.count + begin) * element_, length * element_);
    }
  }

  // Inputs of reductions are multiplied by their own rank's factor before they are shared.
  void contribute(const Part& part, std::uint64_t begin, std::uint64_t length) {
    const bool root = part.rank == call_.root;
    switch (call_.kind) {
      case Kind::kReduceScatter:
      case Kind::kAllToAll:
        copy_pieces(part, begin, length);
        break;
      case Kind::kScatter:
        if (root) copy_pieces(part, begin, length);
        break;
      case Kind::kBroadcast:
        if (!root) break;
        [[fallthrough]];
      default:
        std::memcpy(segment_.contribution(part.rank), part.send + begin * element_,
                    length * element_);
        break;
    }
    if (!part.reduction.pre_multiply) return;
    const std::uint64_t elements =
        call_.kind == Kind::kReduceScatter ? length * num_ranks_ : length;
    const std::byte* const own = segment_.contribution(part.rank);
    reduce(part.reduction, call_.type, &own, 1, elements, segment_.contribution(part.rank));
  }

  std::vector<const std::byte*> inputs_at(std::uint64_t element) {
    std::vector<const std::byte*> inputs;
    for (int rank = 0; rank < segment_.num_ranks(); ++rank)
      inputs.push_back(segment_.contribution(rank) + element * element_);
    return inputs;
  }

  Reduction shared_reduction(const Part& part) const {
    Reduction reduction = part.reduction;
    reduction.pre_multiply = false;
    return reduction;
  }

  // Of the piece that all contributed, rank r reduces the r-th share.
  std::uint64_t share_begin(std::uint64_t rank, std::uint64_t length) const {
    return length * rank / num_ranks_;
  }

  void reduce_share(const Part& part, std::uint64_t length) {
    const auto rank = static_cast<std::uint64_t>(part.rank);
    const std::uint64_t begin = share_begin(rank, length);
    const std::uint64_t count = share_begin(rank + 1, length) - begin;
    if (count == 0) return;
    reduce(shared_reduction(part), call_.type, inputs_at(begin).data(), segment_.num_ranks(), count,
           segment_.result(part.rank));
  }

  void take(const Part& part, std::uint64_t begin, std::uint64_t length) {
    const auto own = static_cast<std::uint64_t>(part.rank);
    const bool root = part.rank == call_.root;
    std::byte* const to = part.receive + begin * element_;
    const std::size_t bytes = length * element_;
    switch (call_.kind) {
      case Kind::kReduce:
        if (!root) return;
        [[fallthrough]];
      case Kind::kAllReduce:
        for (std::uint64_t rank = 0; rank < num_ranks_; ++rank) {
          const std::uint64_t from = share_begin(rank, length);
          std::memcpy(to + from * element_, segment_.result(static_cast<int>(rank)),
                      (share_begin(rank + 1, length) - from) * element_);
        }
        return;
      case Kind::kReduceScatter:
        reduce(shared_reduction(part), call_.type, inputs_at(own * length).data(),
               segment_.num_ranks(), length, to);
        return;
      case Kind::kGather:
        if (!root) return;
        [[fallthrough]];
      case Kind::kAllGather:
        for (std::uint64_t rank = 0; rank < num_ranks_; ++rank) {
          std::memcpy(to + rank * call_.count * element_,
                      segment_.contribution(static_cast<int>(rank)), bytes);
        }
        return;
      case Kind::kBroadcast:
        std::memcpy(to, segment_.contribution(call_.root), bytes);
        return;
      case Kind::kScatter:
        std::memcpy(to, segment_.contribution(call_.root) + own * bytes, bytes);
        return;
      case Kind::kAllToAll:
        for (std::uint64_t rank = 0; rank < num_ranks_; ++rank) {
          std::memcpy(to + rank * call_.count * element_,
                      segment_.contribution(static_cast<int>(rank)) + own * bytes, bytes);
        }
        return;
      default:
        return;
    }
  }

  SharedSegment& segment_;
  const std::vector<LocalCall>& calls_;
  const NcclCall& call_;
  std::uint64_t num_ranks_;
  std::size_t element_;
  std::string activity_;
  std::vector<int> ranks_;
  std::vector<Part> parts_;
};

}  // namespace

void run_collective(SharedSegment& segment, const std::vector<LocalCall>& calls) {
  Collective(segment, calls).run();
}

}  // namespace ptx_emulator::stand_ins
