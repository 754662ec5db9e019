#include "data_tools/duplicates/near_duplicates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "data_tools/duplicates/pair_sorter.h"
#include "data_tools/duplicates/record_file.h"
#include "data_tools/duplicates/result_file.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::data_tools::duplicates {

namespace {

constexpr std::uint64_t kLeastMemory = 1 << 20;
// Progress is told after this many documents or pairs.
constexpr std::uint64_t kStride = 1 << 12;
// What the system maps for one look at a signature: it takes pages around the one asked for.
constexpr std::uint64_t kMappedByLook = 64 << 10;
// No text's: a hash of 2^32 - 1 under every function would need one and the same preimage.
constexpr std::uint32_t kNoHash = ~std::uint32_t{0};

void check(const NearDuplicateSettings& settings) {
  if (!(settings.threshold > 0 && settings.threshold <= 1)) {
    throw UsageError(
        fmt::format("the threshold of near-duplicates is {}; it must be above 0 and at most 1, "
                    "such as 0.8",
                    settings.threshold));
  }
  if (settings.bands == 0 || settings.rows == 0 || settings.bands > kPermutations ||
      settings.rows > kPermutations || settings.bands * settings.rows > kPermutations) {
    throw UsageError(
        fmt::format("{} bands of {} rows do not fit a signature of {} hashes; try 16 bands of 8",
                    settings.bands, settings.rows, kPermutations));
  }
  if (settings.memory_bytes < kLeastMemory) {
    throw UsageError(
        fmt::format("{} bytes of memory are too few to sort near-duplicates in; give "
                    "{} at least",
                    settings.memory_bytes, kLeastMemory));
  }
}

// The signatures file, mapped: documents' signatures by number.
class Signatures {
 public:
  Signatures(const Path& path, std::uint64_t documents) : file_(path), documents_(documents) {
    if (file_.bytes().size() / sizeof(Signature) < documents) {
      throw DataError(fmt::format("{} was cut short while it was in use", path.string()));
    }
  }
  std::uint64_t documents() const { return documents_; }
  // False where the document has no words.
  bool read(std::uint64_t document, Signature& signature) const {
    std::memcpy(&signature, file_.bytes().data() + document * sizeof(Signature), sizeof(Signature));
    return std::any_of(signature.begin(), signature.end(),
                       [](std::uint32_t hash) { return hash != kNoHash; });
  }
  void forget() const { forget_mapped(file_.bytes()); }

 private:
  MappedFile file_;
  std::uint64_t documents_;
};

// The earlier documents of one band's bucket that a new one is compared with.
class Bucket {
 public:
  void restart(std::uint64_t key) {
    key_ = key;
    count_ = 0;
  }
  bool is_of(std::uint64_t key) const { return count_ > 0 && key_ == key; }
  void add(std::uint64_t document, PairSorter& pairs) {
    const std::size_t first = std::min(count_, kHalf);
    const std::size_t last = std::min(count_ - first, kHalf);
    for (std::size_t i = 0; i < first; ++i) pairs.add({document, first_[i]});
    for (std::size_t i = 0; i < last; ++i) pairs.add({document, last_[i]});
    if (count_ < kHalf) {
      first_[count_] = document;
    } else {
      last_[(count_ - kHalf) % kHalf] = document;
    }
    ++count_;
  }

 private:
  static constexpr std::size_t kHalf = NearDuplicateFinder::kComparedInBand / 2;
  std::uint64_t key_ = 0;
  std::size_t count_ = 0;
  std::array<std::uint64_t, kHalf> first_{};
  std::array<std::uint64_t, kHalf> last_{};
};

void add_band_keys(const Signature& signature, std::uint64_t document,
                   const NearDuplicateSettings& settings, PairSorter& keys) {
  const auto hashes = std::span(signature);
  for (std::size_t band = 0; band < settings.bands; ++band) {
    const auto rows = hashes.subspan(band * settings.rows, settings.rows);
    keys.add({hash64(std::as_bytes(rows), band), document});
  }
}

}  // namespace

struct NearDuplicateFinder::State {
  Path folder;
  NearDuplicateSettings settings;
  RecordFile signatures;

  void find_candidates(const Signatures& all, PairSorter& pairs, const Progress& progress) const;
  void choose(const Signatures& all, PairSorter& pairs, ResultFile& result,
              const Progress& progress) const;
};

void NearDuplicateFinder::State::find_candidates(const Signatures& all, PairSorter& pairs,
                                                 const Progress& progress) const {
  PairSorter keys(folder / ".tmp-near-bands-", settings.memory_bytes / 2);
  Signature signature;
  const double documents = static_cast<double>(std::max<std::uint64_t>(all.documents(), 1));
  for (std::uint64_t document = 0; document < all.documents(); ++document) {
    if (all.read(document, signature)) add_band_keys(signature, document, settings, keys);
    if (document % kStride == 0) {
      all.forget();
      progress(0.5 * static_cast<double>(document) / documents);
    }
  }
  Bucket bucket;
  std::uint64_t visited = 0;
  const double all_keys = static_cast<double>(std::max<std::uint64_t>(keys.count(), 1));
  keys.visit_sorted([&](const Pair& key) {
    if (!bucket.is_of(key.first)) bucket.restart(key.first);
    bucket.add(key.second, pairs);
    if (++visited % kStride == 0) progress(0.5 + 0.3 * static_cast<double>(visited) / all_keys);
  });
}

void NearDuplicateFinder::State::choose(const Signatures& all, PairSorter& pairs,
                                        ResultFile& result, const Progress& progress) const {
  std::vector<bool> is_dropped(all.documents());
  Signature later;
  Signature earlier;
  Pair last{~std::uint64_t{0}, 0};
  std::uint64_t visited = 0;
  std::uint64_t compared = 0;
  const std::uint64_t look_stride = settings.memory_bytes / (4 * kMappedByLook);
  const double all_pairs = static_cast<double>(std::max<std::uint64_t>(pairs.count(), 1));
  // Ascending by the later document: whether the earlier one stays is settled already.
  pairs.visit_sorted([&](const Pair& pair) {
    if (++visited % kStride == 0) progress(0.8 + 0.2 * static_cast<double>(visited) / all_pairs);
    if (pair == last || is_dropped[pair.first] || is_dropped[pair.second]) return;
    if (pair.first != last.first) all.read(pair.first, later);
    last = pair;
    if (++compared % look_stride == 0) all.forget();
    all.read(pair.second, earlier);
    const double alike = similarity(later, earlier);
    if (alike < settings.threshold) return;
    is_dropped[pair.first] = true;
    const NearDuplicate found{pair.first, pair.second, alike};
    result.add(std::as_bytes(std::span(&found, 1)));
  });
}

std::span<const NearDuplicate> NearDuplicates::all() const {
  return records_of<NearDuplicate>(file_);
}

const NearDuplicate* NearDuplicates::find(std::uint64_t document) const {
  return find_record(all(), document);
}

NearDuplicateFinder::NearDuplicateFinder(Path folder, const NearDuplicateSettings& settings,
                                         std::uint64_t documents) {
  check(settings);
  const Path signatures = folder / "signatures.bin";
  state_ = std::make_unique<State>(
      State{std::move(folder), settings, RecordFile(signatures, sizeof(Signature), documents)});
}

NearDuplicateFinder::~NearDuplicateFinder() = default;

void NearDuplicateFinder::add(const std::optional<Signature>& signature) {
  static constexpr Signature kNone = [] {
    Signature none{};
    for (std::uint32_t& hash : none) hash = kNoHash;
    return none;
  }();
  state_->signatures.add(std::as_bytes(std::span(signature ? *signature : kNone)));
}

std::uint64_t NearDuplicateFinder::documents() const {
  return state_->signatures.count();
}

void NearDuplicateFinder::sync() {
  state_->signatures.sync();
}

NearDuplicates NearDuplicateFinder::finish(const Progress& progress) {
  const Progress tell = progress ? progress : [](double) {};
  state_->signatures.flush();
  ResultFile result(state_->folder / "near-duplicates.bin");
  const Signatures all(state_->signatures.path(), documents());
  PairSorter pairs(state_->folder / ".tmp-near-pairs-", state_->settings.memory_bytes / 2);
  state_->find_candidates(all, pairs, tell);
  state_->choose(all, pairs, result, tell);
  return NearDuplicates(result.commit());
}

}  // namespace ovid::data_tools::duplicates
