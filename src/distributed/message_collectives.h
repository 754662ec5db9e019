#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "kernels/common/view.h"
#include "src/distributed/message_transport.h"

namespace ovid::distributed {

// The collectives by messages, in the calling thread. Every rank calls the same with the same sizes
// and types: nothing here checks that. `check` is called again and again while messages are waited
// for, and throws to give up.
class MessageCollectives {
 public:
  MessageCollectives(MessageTransport& transport, std::function<void()> check);

  void all_reduce(const kernels::View& data);
  void reduce_scatter(const kernels::ConstView& in, const kernels::View& out);
  void all_gather(const kernels::ConstView& in, const kernels::View& out);
  void broadcast(const kernels::View& data, int root);
  void scatter(const kernels::ConstView& in, const kernels::View& out, int root);
  // out = the `in` of all ranks, one after another, in ceil(log2 R) rounds (Bruck et al. 1997).
  void exchange(std::span<const std::byte> in, std::span<std::byte> out);

 private:
  using Bytes = std::span<std::byte>;
  using ConstBytes = std::span<const std::byte>;

  void send(int to, ConstBytes bytes);
  void receive(int from, Bytes bytes);
  void finish();
  // Adds the part `own` of all ranks' rows into `out`, which may be that part of this rank's own
  // row. Elements [first of part r, first of part r + 1) of the row are rank r's.
  void reduce_parts(const kernels::ConstView& row, const std::vector<std::int64_t>& first,
                    std::byte* out);

  MessageTransport& transport_;
  std::function<void()> check_;
  int rank_;
  int count_;
  std::vector<MessageTransport::Request> pending_;
  std::vector<std::byte> scratch_;
};

}  // namespace ovid::distributed
