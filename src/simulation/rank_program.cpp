#include "src/simulation/rank_program.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <stdexcept>

#include "src/core/error.h"
#include "src/data/batch_share.h"
#include "src/data/token_loader.h"
#include "src/model/operation_count.h"
#include "src/training/gradient_exchange.h"

namespace ovid::simulation {
namespace {

using distributed::Communicator;
using training::GradientExchange;

// Bytes that AdamW reads and writes for an element, by what the memory of a server's GPU moves in a
// second: an update is short beside a step.
constexpr double kUpdateSecondsAnElement = 28.0 / 1e12;

// All of the blocks' work is in the blocks, the head's in the end.
std::vector<double> forward_seconds(const training::RunPlan& plan, std::size_t groups,
                                    double operations_per_second) {
  const model::BatchShape sequence{.sequences = 1, .length = plan.micro_batch.length};
  model::ModelConfig headless = plan.model;
  headless.vocabulary_size = 0;
  const double blocks = model::forward_operations(headless, sequence).total();
  const double all = model::forward_operations(plan.model, sequence).total();
  const auto L = static_cast<double>(plan.model.layers);
  std::vector<double> seconds(groups, blocks / L / operations_per_second);
  seconds.front() = 0;
  seconds.back() = (all - blocks) / operations_per_second;
  return seconds;
}

// As granule_norm.h sends them: the nodes of the rank that has the most.
std::size_t norm_nodes(const model::ShardLayout& layout) {
  constexpr std::int64_t kGranule = model::ShardLayout::kGranule;
  std::size_t most = 0;
  for (int rank = 0; rank < layout.ranks; ++rank) {
    std::size_t nodes = 0;
    for (std::size_t group = 0; group < layout.groups.size(); ++group) {
      const std::int64_t all = (layout.groups[group].elements + kGranule - 1) / kGranule;
      const std::int64_t part = layout.part_elements(group) / kGranule;
      nodes += training::maximal_nodes(std::min(all, rank * part), std::min(all, (rank + 1) * part))
                   .size();
    }
    most = std::max(most, nodes);
  }
  return most;
}

void check_batch(std::int64_t sequences, int ranks, bool canonical) {
  if (sequences < ranks) {
    throw UsageError(
        fmt::format("batch.sequences = {} leaves {} of {} ranks without a sequence: at most {} "
                    "ranks, or batch.sequences={} and more",
                    sequences, ranks - sequences, ranks, sequences, ranks));
  }
  if (!canonical && sequences % ranks != 0) {
    throw UsageError(
        fmt::format("batch.sequences = {} is no multiple of {} ranks: batch.sequences={}, or "
                    "distributed.reduction=canonical",
                    sequences, ranks, (sequences + ranks - 1) / ranks * ranks));
  }
}

// The largest pass of the config that divides every rank's share.
std::int64_t pass_of(const training::RunPlan& plan, std::int64_t share, bool canonical) {
  if (canonical) return 1;
  std::int64_t pass = 1;
  for (std::int64_t n = 1; n <= std::min(share, plan.micro_batch.sequences); ++n) {
    if (share % n == 0) pass = n;
  }
  return pass;
}

// Facts of the host that all ranks tell all. What arrives is the same everywhere, so that one
// buffer serves all ranks: a thousand of them would take a gigabyte.
void tell_all(Communicator& communicator, std::span<double> all, std::size_t doubles,
              const char* label) {
  const std::vector<double> own(doubles);
  const std::size_t count = doubles * static_cast<std::size_t>(communicator.count());
  communicator.exchange(std::as_bytes(std::span(own)), std::as_writable_bytes(all.first(count)),
                        label);
}

// As CanonicalReduction::receive: node after node, from who holds it to the owners of its parts.
void scatter_nodes(const RunShape& shape, Communicator& communicator) {
  for (const training::HeldNode& held : shape.nodes) {
    std::vector<distributed::Ticket> tickets;
    for (std::size_t group = 0; group < shape.layout.groups.size(); ++group) {
      tickets.push_back(communicator.begin_scatter(
          shape.rows.group(group),
          training::own_part(shape.layout, shape.rows, group, communicator.rank()), held.rank,
          shape.layout.groups[group].name));
    }
    for (const distributed::Ticket ticket : tickets) communicator.wait(ticket);
  }
}

// Backward passes end with the last group's gradients; blocks are told as the model tells them.
void play_pass(const RunShape& shape, SimulatedRank& rank, std::int64_t sequences,
               GradientExchange* exchange) {
  const auto work = [&](std::size_t group, std::int64_t times) {
    rank.compute(static_cast<double>(times * sequences) * shape.forward_seconds[group]);
  };
  const std::size_t groups = shape.layout.groups.size();
  for (std::size_t group = 0; group < groups; ++group) work(group, 1);
  work(groups - 1, 2);
  for (auto block = static_cast<std::int64_t>(groups) - 3; block >= -1; --block) {
    work(static_cast<std::size_t>(block + 1), 2);
    if (exchange != nullptr) exchange->note_ready(block);
  }
}

}  // namespace

std::int64_t RunShape::largest_share() const {
  return (sequences + layout.ranks - 1) / layout.ranks;
}

double RunShape::compute_seconds(std::int64_t of_sequences) const {
  double seconds = 0;
  for (const double forward : forward_seconds) seconds += 3 * forward;
  return seconds * static_cast<double>(of_sequences) + update_seconds();
}

std::size_t RunShape::heard() const {
  const auto most = std::max(static_cast<std::size_t>(largest_share()), norm_nodes);
  return most * static_cast<std::size_t>(layout.ranks);
}

double RunShape::update_seconds() const {
  const std::int64_t own = layout.shard_elements() * (shards_moments ? 1 : layout.ranks);
  return static_cast<double>(own) * update_seconds_an_element;
}

RunShape shape_of(const training::RunPlan& plan, int ranks, double operations_per_second) {
  const config::RunConfig& c = plan.config();
  const bool canonical = c.distributed.reduction == config::ReductionOrder::kCanonical;
  const std::int64_t sequences = c.batch.sequences;
  if (c.distributed.zero_stage > 2) {
    throw UsageError(
        fmt::format("distributed.zero_stage = {}: simulated are stages 0 to 2, which gather no "
                    "weights within a "
                    "pass; set distributed.zero_stage to one of them",
                    c.distributed.zero_stage));
  }
  check_batch(sequences, ranks, canonical);
  RunShape shape{.plan = plan,
                 .layout = model::lay_out_shards(plan.model, ranks),
                 .rows = model::ParameterSet(plan.model, "rows without content", {.shards = ranks}),
                 .shards_moments = c.distributed.zero_stage >= 1,
                 .shards_gradients = c.distributed.zero_stage >= 2 && !canonical,
                 .canonical = canonical,
                 .sequences = sequences};
  shape.pass_sequences = pass_of(plan, shape.largest_share(), canonical);
  if (canonical && ranks > 1) shape.nodes = training::nodes_of_run(sequences, ranks);
  shape.norm_nodes = norm_nodes(shape.layout);
  shape.forward_seconds = forward_seconds(plan, shape.layout.groups.size(), operations_per_second);
  shape.update_seconds_an_element = kUpdateSecondsAnElement;
  return shape;
}

void note_sequences(const RunShape& shape, std::int64_t step, int rank, int ranks,
                    SequenceLedger& ledger) {
  const data::BatchShare share = data::share_of_batch(shape.sequences, rank, ranks);
  const config::RunConfig& c = shape.plan.config();
  const data::TokenLoaderOptions options{.order = c.data.order == config::DataOrder::kShuffled
                                                      ? data::SequenceOrder::kShuffled
                                                      : data::SequenceOrder::kSequential,
                                         .seed = c.run.seed,
                                         .length = shape.plan.micro_batch.length};
  data::TokenBatch batch;
  data::load_batch(*shape.plan.train, options, step * shape.sequences + share.first, share.count,
                   batch);
  for (std::int64_t i = 0; i < share.count; ++i) {
    std::int64_t& entry = ledger.at(static_cast<std::size_t>(share.first + i));
    if (entry != -1) {
      throw std::logic_error(
          fmt::format("sequence {} of the batch belongs to two ranks", share.first + i));
    }
    entry = batch.sequence_ids[static_cast<std::size_t>(i)];
  }
}

void play_step(const RunShape& shape, SimulatedRank& rank, std::span<double> heard) {
  Communicator& communicator = rank.communicator();
  const std::int64_t count =
      data::share_of_batch(shape.sequences, communicator.rank(), communicator.count()).count;
  GradientExchange exchange(communicator, shape.layout, shape.rows,
                            shape.shards_moments ? GradientExchange::Result::kOwnPart
                                                 : GradientExchange::Result::kEverywhere);
  for (std::int64_t done = 0; done < count; done += shape.pass_sequences) {
    const std::int64_t now = std::min(shape.pass_sequences, count - done);
    const bool last = done + now == count;
    const bool reduces = !shape.canonical && (last || shape.shards_gradients);
    play_pass(shape, rank, now, reduces ? &exchange : nullptr);
  }
  if (shape.canonical) {
    scatter_nodes(shape, communicator);
    if (!shape.shards_moments) training::gather_parts(communicator, shape.layout, shape.rows);
  } else {
    exchange.finish();
  }
  tell_all(communicator, heard, static_cast<std::size_t>(shape.largest_share()), "losses");
  tell_all(communicator, heard, shape.norm_nodes, "squares of the gradients");
  rank.compute(shape.update_seconds());
  if (shape.shards_moments) training::gather_parts(communicator, shape.layout, shape.rows);
  tell_all(communicator, heard, 1, "stop");
}

}  // namespace ovid::simulation
