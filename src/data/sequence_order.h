#pragma once

#include <cstddef>
#include <cstdint>

// Which sequence a run reads when. Pure functions: the order is the same for every number of ranks
// and after every resume, and a cursor is one number, the count of sequences consumed by all ranks
// since the run began.
namespace ovid::data {

enum class SequenceOrder { kSequential, kShuffled };

struct SequencePosition {
  std::int64_t epoch;
  std::int64_t index;  // the sequence's number in the data set
};

// How many sequences of `length` tokens (and the target of the last one) a row of tokens holds:
// sequence i reads the tokens [i x length, (i + 1) x length], the last of them only as a target.
// Zero where not even one fits.
std::int64_t sequence_count(std::int64_t total_tokens, std::int64_t length);

// A permutation of [0, n) chosen by `key`: distinct positions give distinct results. Needs n >= 1,
// position in [0, n). A Feistel network over the next even power of two, walked until the result is
// below n (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002): no memory, at
// most a few steps on average.
std::int64_t permuted(std::int64_t position, std::int64_t n, std::uint64_t key);

// The sequence that is read after `consumed` others, from a data set of n >= 1 sequences.
// Sequential: 0, 1, 2, ... Shuffled: each epoch is its own permutation, so that every sequence is
// read once an epoch. The windows lie on the same grid in every epoch: a sequence's number always
// means the same tokens.
SequencePosition sequence_at(SequenceOrder order, std::uint64_t seed, std::int64_t n,
                             std::int64_t consumed);

// The seed of one source of a run: the run's own for source 0, so that a single source reads in the
// order of an unweighted run; for each other its own, so that equal sources are shuffled apart.
std::uint64_t source_seed(std::uint64_t seed, std::size_t source);

}  // namespace ovid::data
