#include "src/data/sequence_order.h"

#include <algorithm>
#include <vector>

#include "tests/catch.h"

namespace ovid::data {

TEST_CASE("sequence count leaves room for the target of the last token", "[data]") {
  CHECK(sequence_count(0, 4) == 0);
  CHECK(sequence_count(4, 4) == 0);
  CHECK(sequence_count(5, 4) == 1);
  CHECK(sequence_count(8, 4) == 1);
  CHECK(sequence_count(9, 4) == 2);
  CHECK(sequence_count(9, 0) == 0);
}

TEST_CASE("every permutation is a bijection", "[data]") {
  for (std::int64_t n = 1; n <= 2000; ++n) {
    std::vector<char> seen(static_cast<std::size_t>(n), 0);
    bool distinct = true;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t j = permuted(i, n, static_cast<std::uint64_t>(n * 7919));
      distinct = distinct && j >= 0 && j < n && seen[static_cast<std::size_t>(j)]++ == 0;
    }
    if (!distinct) FAIL("not a bijection for n = " << n);
  }
  for (const std::int64_t n : {65535ll, 65536ll, 65537ll, 1'000'003ll}) {
    std::vector<char> seen(static_cast<std::size_t>(n), 0);
    bool distinct = true;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t j = permuted(i, n, 42);
      distinct = distinct && j >= 0 && j < n && seen[static_cast<std::size_t>(j)]++ == 0;
    }
    CHECK(distinct);
  }
}

TEST_CASE("permutations of sizes beyond 32 bits stay in range", "[data]") {
  for (const std::int64_t n : {(1ll << 33) + 1, (1ll << 40), (1ll << 60)}) {
    for (const std::int64_t i : {std::int64_t{0}, n / 2, n - 1}) {
      const std::int64_t j = permuted(i, n, 1337);
      CHECK((j >= 0 && j < n));
    }
  }
}

TEST_CASE("over many keys every place is equally likely", "[data]") {
  // Pearson's chi-square over 20,000 keys for the image of each position: 99.9 % quantiles are 20.5
  // (5 degrees of freedom) and 148.2 (99); the seeds are fixed, so the test is not random.
  for (const std::int64_t n : {6, 100}) {
    const double limit = n == 6 ? 20.5 : 148.2;
    for (const std::int64_t position : {std::int64_t{0}, n / 2, n - 1}) {
      std::vector<double> counts(static_cast<std::size_t>(n), 0);
      constexpr int kKeys = 20000;
      for (int key = 0; key < kKeys; ++key) {
        ++counts[static_cast<std::size_t>(permuted(position, n, static_cast<std::uint64_t>(key)))];
      }
      const double expected = static_cast<double>(kKeys) / static_cast<double>(n);
      double chi_square = 0;
      for (const double count : counts) {
        chi_square += (count - expected) * (count - expected) / expected;
      }
      CAPTURE(n, position);
      CHECK(chi_square < limit);
    }
  }
}

TEST_CASE("neighbours are torn apart by the shuffle", "[data]") {
  constexpr std::int64_t n = 1000;
  int still_neighbours = 0;
  for (std::int64_t i = 0; i + 1 < n; ++i) {
    still_neighbours += permuted(i + 1, n, 5) == permuted(i, n, 5) + 1 ? 1 : 0;
  }
  CHECK(still_neighbours < 8);  // one is expected
}

TEST_CASE("sequential order counts up and wraps around", "[data]") {
  const auto at = [](std::int64_t consumed) {
    return sequence_at(SequenceOrder::kSequential, 1, 5, consumed);
  };
  CHECK(at(0).index == 0);
  CHECK(at(4).index == 4);
  CHECK(at(4).epoch == 0);
  CHECK(at(5).index == 0);
  CHECK(at(5).epoch == 1);
  CHECK(at(13).index == 3);
}

TEST_CASE("shuffled order reads each sequence once an epoch, each epoch and seed differently",
          "[data]") {
  constexpr std::int64_t n = 101;
  const auto epoch = [](std::uint64_t seed, std::int64_t number) {
    std::vector<std::int64_t> ids;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = sequence_at(SequenceOrder::kShuffled, seed, n, number * n + i);
      CHECK(at.epoch == number);
      ids.push_back(at.index);
    }
    return ids;
  };
  auto first = epoch(7, 0);
  CHECK(first == epoch(7, 0));
  CHECK(first != epoch(7, 1));
  CHECK(first != epoch(8, 0));
  // Seed s in epoch e + 1 must not repeat seed s + 1 in epoch e.
  CHECK(epoch(7, 1) != epoch(8, 0));
  std::sort(first.begin(), first.end());
  for (std::int64_t i = 0; i < n; ++i) CHECK(first[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("the order of a run never changes between versions", "[data]") {
  // A checkpoint keeps only the cursor: another function would make a resumed run read other data.
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < 8; ++i) {
    ids.push_back(sequence_at(SequenceOrder::kShuffled, 1337, 1000, i).index);
  }
  CHECK(ids == std::vector<std::int64_t>{276, 917, 563, 530, 171, 282, 798, 566});
}

}  // namespace ovid::data
