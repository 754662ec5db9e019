#include "src/training/granule_norm.h"

#include <cmath>

#include "src/distributed/single_rank_communicator.h"
#include "src/memory/execution.h"
#include "src/training/gradient_exchange.h"
#include "tests/catch.h"
#include "tests/distributed/rank_processes.h"

namespace ovid::training {
namespace {

const model::ModelConfig kConfig{
    .layers = 2, .heads = 2, .width = 40, .context_length = 24, .vocabulary_size = 301};

// Gradients of very different sizes, the same for every number of ranks.
model::ParameterSet gradients_of(int ranks, double* sum = nullptr) {
  model::ParameterSet set(kConfig, "gradients", {.shards = ranks});
  std::uint32_t state = 1;
  for (const model::ParameterSet::Tensor& tensor : set.tensors()) {
    float* x = tensor.view.data<float>();
    for (std::int64_t i = 0; i < tensor.view.elements(); ++i) {
      state = state * 1664525u + 1013904223u;
      x[i] = std::ldexp(static_cast<float>(state >> 8) - 8388608.0f,
                        -20 - static_cast<int>(state % 13));
      if (sum != nullptr) *sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
  }
  return set;
}

double norm_of(distributed::Communicator& communicator, const model::ParameterSet& gradients,
               int threads = 1) {
  memory::Execution execution(nullptr, threads, 0);
  const model::ShardLayout layout = model::lay_out_shards(kConfig, communicator.count());
  return granule_sum_of_squares(execution.context(), communicator, layout,
                                own_parts(layout, gradients, communicator.rank()));
}

}  // namespace

TEST_CASE("the sum of squares has the same bits for every number of ranks and threads",
          "[distributed]") {
  double plain = 0;
  const model::ParameterSet alone = gradients_of(1, &plain);
  distributed::SingleRankCommunicator single;
  const double expected = norm_of(single, alone);
  CHECK(expected == Approx(plain).epsilon(1e-13));
  CHECK(norm_of(single, alone, 3) == expected);
  for (const int ranks : {2, 3, 4, 8}) {
    test::require_all_done(test::run_ranks(ranks, [&](distributed::Communicator& communicator) {
      const model::ParameterSet set = gradients_of(ranks);
      // What others own need not be the sum.
      const model::ShardLayout layout = model::lay_out_shards(kConfig, ranks);
      for (std::size_t group = 0; group < layout.groups.size(); ++group) {
        const std::int64_t part = layout.part_elements(group);
        for (std::int64_t i = 0; i < layout.groups[group].padded; ++i) {
          if (i / part != communicator.rank()) set.group(group).data<float>()[i] = NAN;
        }
      }
      test::expect(norm_of(communicator, set) == expected, "the sum differs");
    }));
  }
}

}  // namespace ovid::training
