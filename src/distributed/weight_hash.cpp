#include "src/distributed/weight_hash.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>

#include "src/core/checksum.h"
#include "src/distributed/rank_text.h"
#include "src/memory/transfer.h"

namespace ovid::distributed {
namespace {

using kernels::ConstView;
using kernels::Shape;
using kernels::View;

using HostName = std::array<char, 64>;

std::uint64_t hash_of(std::span<const std::uint64_t> hashes) {
  return hash64(std::as_bytes(hashes));
}

// Feeds flat parts of a tensor, copied to the host where they lie elsewhere.
class PartHasher {
 public:
  explicit PartHasher(kernels::cuda::Device* device) : device_(device) {}

  std::uint64_t hash(const ConstView& view) {
    hash_ = 0;
    const std::int64_t rows = view.contiguous() ? 1 : view.rows();
    const std::int64_t columns = view.contiguous() ? view.elements() : view.columns();
    const std::size_t element = kernels::bytes_of(view.dtype());
    const auto step = static_cast<std::int64_t>(kPartBytes / element);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t begin = row * view.row_stride();
      for (std::int64_t first = 0; first < columns; first += step) {
        const std::int64_t count = std::min(step, columns - first);
        add(ConstView(static_cast<const std::byte*>(view.raw()) +
                          static_cast<std::size_t>(begin + first) * element,
                      view.dtype(), Shape{count}));
      }
    }
    return hash_;
  }

 private:
  // Of what is hashed at once; each part's hash is the seed of the next one's.
  static constexpr std::size_t kPartBytes = std::size_t{4} << 20;

  void add(const ConstView& part) {
    const std::size_t bytes =
        static_cast<std::size_t>(part.elements()) * kernels::bytes_of(part.dtype());
    const auto* data = static_cast<const std::byte*>(part.raw());
    if (device_ != nullptr) {
      host_.resize(kPartBytes);
      memory::copy_to_host(device_, View(host_.data(), part.dtype(), part.shape()), part);
      memory::synchronize(device_);
      data = host_.data();
    }
    hash_ = hash64({data, bytes}, hash_);
  }

  kernels::cuda::Device* device_;
  std::vector<std::byte> host_;
  std::uint64_t hash_ = 0;
};

template <typename T>
std::vector<T> gather(Communicator& communicator, std::span<const T> own, std::string_view label) {
  std::vector<T> all(own.size() * static_cast<std::size_t>(communicator.count()));
  communicator.exchange(std::as_bytes(own), std::as_writable_bytes(std::span(all)), label);
  return all;
}

// Of the tensors, one after another, the first whose hash is not that of a rank that is right.
std::string first_difference(const ReplicatedTensors& tensors, std::span<const std::uint64_t> all,
                             std::span<const int> culprits, int ranks) {
  const std::size_t count = tensors.views.size();
  int good = 0;
  while (good + 1 < ranks && std::count(culprits.begin(), culprits.end(), good) > 0) ++good;
  for (std::size_t tensor = 0; tensor < count; ++tensor) {
    for (const int rank : culprits) {
      if (all[static_cast<std::size_t>(rank) * count + tensor] !=
          all[static_cast<std::size_t>(good) * count + tensor]) {
        return tensors.names[tensor];
      }
    }
  }
  return "none alone";
}

[[noreturn]] void throw_difference(Communicator& communicator, const ReplicatedTensors& tensors,
                                   std::span<const std::uint64_t> own, std::int64_t step,
                                   std::int64_t last_clean, const std::vector<int>& culprits) {
  const auto all = gather<std::uint64_t>(communicator, own, "weight hashes of each tensor");
  const std::uint64_t again = hash_of(hash_tensors(tensors));
  const std::uint8_t repeats = again == hash_of(own) ? 1 : 0;
  const auto repeated =
      gather<std::uint8_t>(communicator, std::span(&repeats, 1), "weight hashes again");
  HostName host{};
  ::gethostname(host.data(), host.size() - 1);
  const auto hosts = gather<char>(communicator, host, "host names");
  const bool tie = std::ssize(culprits) == communicator.count();
  const bool stable = std::all_of(culprits.begin(), culprits.end(), [&](int rank) {
    return repeated[static_cast<std::size_t>(rank)] != 0;
  });
  std::string places;
  for (const int rank : culprits) {
    const char* name = hosts.data() + static_cast<std::size_t>(rank) * host.size();
    places += fmt::format("{}rank {} on {}", places.empty() ? "" : ", ", rank, name);
  }
  throw WeightsDifferError(fmt::format(
      "step {}: the weights of {} {} (first in {}; {}): silent corruption {}. The checkpoints of "
      "this run were compared before they were saved: the same command continues from the newest "
      "one. Where it happens again, examine the memory of {}",
      step, describe_ranks(culprits),
      tie ? "differ, and no majority says which are right" : "differ from those of the others",
      first_difference(tensors, all, culprits, communicator.count()),
      stable ? "hashed again they are the same, so wrong bits are stored"
             : "hashed again they are others, so memory does not read the same twice",
      last_clean >= 0 ? fmt::format("after step {}, when all agreed", last_clean)
                      : "since the start",
      places));
}

}  // namespace

std::vector<std::uint64_t> hash_tensors(const ReplicatedTensors& tensors) {
  PartHasher hasher(tensors.device);
  std::vector<std::uint64_t> hashes;
  hashes.reserve(tensors.views.size());
  for (const ConstView& view : tensors.views) hashes.push_back(hasher.hash(view));
  return hashes;
}

std::vector<int> minority(std::span<const std::uint64_t> hashes) {
  std::map<std::uint64_t, std::size_t> votes;
  for (const std::uint64_t hash : hashes) ++votes[hash];
  if (votes.size() <= 1) return {};
  const auto most = std::max_element(
      votes.begin(), votes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const bool has_majority = 2 * most->second > hashes.size();
  std::vector<int> ranks;
  for (std::size_t rank = 0; rank < hashes.size(); ++rank) {
    if (!has_majority || hashes[rank] != most->first) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

void check_weight_hashes(Communicator& communicator, const ReplicatedTensors& tensors,
                         std::int64_t step, std::int64_t last_clean) {
  const std::vector<std::uint64_t> own = hash_tensors(tensors);
  const std::uint64_t total = hash_of(own);
  const auto totals = gather<std::uint64_t>(communicator, std::span(&total, 1), "weight hashes");
  const std::vector<int> culprits = minority(totals);
  if (!culprits.empty()) {
    throw_difference(communicator, tensors, own, step, last_clean, culprits);
  }
}

}  // namespace ovid::distributed
