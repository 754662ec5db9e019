#include "src/distributed/collective_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/common/dtype.h"
#include "src/distributed/errors.h"

namespace ovid::distributed {
namespace {

std::string rank_list(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", ranks[i]);
  }
  return text;
}

}  // namespace

const char* name_of(CollectiveKind kind) {
  switch (kind) {
    case CollectiveKind::kAllReduce:
      return "all_reduce";
    case CollectiveKind::kReduceScatter:
      return "reduce_scatter";
    case CollectiveKind::kAllGather:
      return "all_gather";
    case CollectiveKind::kBroadcast:
      return "broadcast";
    case CollectiveKind::kScatter:
      return "scatter";
    case CollectiveKind::kExchange:
      return "exchange";
    case CollectiveKind::kBarrier:
      return "barrier";
  }
  return "?";
}

std::string text_of(const CollectiveHeader& header) {
  // The label may come from another process: its last byte is not trusted to be a zero.
  const char* const end = header.label + CollectiveHeader::kLabelBytes;
  const std::string label(header.label, std::find(header.label, end, '\0'));
  std::string text = fmt::format("#{} {} '{}'", header.sequence, name_of(header.kind), label);
  if (header.root >= 0) text += fmt::format(" from rank {}", header.root);
  if (header.kind == CollectiveKind::kBarrier) return text;
  return text + fmt::format(" ({} bytes of {})", header.bytes,
                            name_of(static_cast<kernels::DType>(header.dtype)));
}

std::string mismatch_text(std::span<const CollectiveHeader> headers) {
  std::string text = "the ranks called different collectives:";
  std::vector<bool> is_told(headers.size(), false);
  for (std::size_t first = 0; first < headers.size(); ++first) {
    if (is_told[first]) continue;
    std::vector<int> same;
    for (std::size_t rank = first; rank < headers.size(); ++rank) {
      if (!(headers[rank] == headers[first])) continue;
      is_told[rank] = true;
      same.push_back(static_cast<int>(rank));
    }
    text +=
        fmt::format("{} {} {}", first == 0 ? "" : ";", rank_list(same), text_of(headers[first]));
  }
  return text +
         ". All ranks must run the same program with the same config; where they do, this is a bug "
         "of Ovid";
}

void require_equal_headers(std::span<const CollectiveHeader> headers) {
  for (const CollectiveHeader& header : headers) {
    if (!(header == headers.front())) throw CollectiveError(mismatch_text(headers));
  }
}

}  // namespace ovid::distributed
