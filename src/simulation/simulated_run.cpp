#include "src/simulation/simulated_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/simulation/rank_program.h"

namespace ovid::simulation {
namespace {

// Of host and device memory; by it a checkpoint's copy holds training up.
constexpr double kCopyBytesPerSecond = 10e9;

void check_options(const SimulationOptions& o) {
  const auto require = [](bool fits, const char* what) {
    if (!fits) throw UsageError(fmt::format("{} has to be above 0", what));
  };
  if (o.ranks < 1 || o.ranks > 65'536)
    throw UsageError(fmt::format("--ranks {} is outside 1 to 65536", o.ranks));
  if (o.steps < 1 || o.steps > 10'000)
    throw UsageError(fmt::format("--steps {} is outside 1 to 10000", o.steps));
  require(o.network.latency_seconds >= 0, "the latency");
  require(o.network.bytes_per_second > 0, "the bandwidth");
  require(o.operations_per_second > 0, "the speed of a rank");
  require(o.disk_bytes_per_second > 0, "the speed of the disks");
  require(o.rank_hours_between_failures > 0, "the hours between failures");
}

// All ranks together have to read what one rank alone reads, in the same order.
void check_sequences(const RunShape& shape, std::int64_t step) {
  const auto sequences = static_cast<std::size_t>(shape.sequences);
  SequenceLedger together(sequences, -1), alone(sequences, -1);
  for (int rank = 0; rank < shape.layout.ranks; ++rank)
    note_sequences(shape, step, rank, shape.layout.ranks, together);
  note_sequences(shape, step, 0, 1, alone);
  for (std::size_t i = 0; i < sequences; ++i) {
    if (together[i] == alone[i] && alone[i] >= 0) continue;
    throw std::logic_error(
        fmt::format("sequence {} of step {} is number {} of the data; a rank "
                    "alone reads {}",
                    i, step, together[i], alone[i]));
  }
}

// A checkpoint's parts of all ranks: every element of every tensor once, of which both moments take
// moment_bytes.
std::uint64_t check_elements(const model::ShardLayout& layout, std::uint64_t moment_bytes,
                             SimulationReport& report) {
  std::vector<std::int64_t> covered(layout.tensors.size(), 0);
  for (int rank = 0; rank < layout.ranks; ++rank) {
    std::uint64_t elements = 0;
    for (std::size_t group = 0; group < layout.groups.size(); ++group) {
      for (const model::ShardLayout::Piece& piece : layout.pieces(group, rank)) {
        // Ranks own a row from its begin to its end, so the pieces of a tensor come in order.
        if (piece.begin != covered[piece.tensor]) {
          throw std::logic_error(fmt::format("'{}': element {} is stored by nobody or twice",
                                             layout.tensors[piece.tensor].description.name,
                                             covered[piece.tensor]));
        }
        covered[piece.tensor] = piece.end;
        elements += static_cast<std::uint64_t>(piece.end - piece.begin);
      }
    }
    report.most_bytes_of_a_rank = std::max(report.most_bytes_of_a_rank, elements * moment_bytes);
  }
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < covered.size(); ++i) {
    if (covered[i] != layout.tensors[i].elements) {
      throw std::logic_error(fmt::format("'{}': {} of {} elements are stored",
                                         layout.tensors[i].description.name, covered[i],
                                         layout.tensors[i].elements));
    }
    sum += static_cast<std::uint64_t>(covered[i]);
  }
  return sum;
}

void plan_checkpoint(const RunShape& shape, const SimulationOptions& options,
                     SimulationReport& report) {
  const std::uint64_t moment_bytes = 2 * kernels::bytes_of(shape.plan.moment_dtype());
  const std::uint64_t parameters = check_elements(shape.layout, moment_bytes, report);
  report.elements_checked = parameters;
  const std::uint64_t model_bytes = (shape.plan.averages_weights() ? 2 : 1) * sizeof(float);
  report.checkpoint_bytes = (model_bytes + moment_bytes) * parameters;
  // Each rank's moments; model, config, state, config.yaml, environment and manifest.
  report.checkpoint_files = options.ranks + 6;
  report.checkpoint_seconds =
      static_cast<double>(report.checkpoint_bytes) / options.disk_bytes_per_second;
  // Rank 0 copies the model and its moments.
  const double most_copied =
      static_cast<double>(model_bytes * parameters + report.most_bytes_of_a_rank);
  const bool beside = shape.plan.config().checkpoint.asynchronous;
  report.copy_seconds = beside ? most_copied / kCopyBytesPerSecond : report.checkpoint_seconds;
}

void plan_failures(const SimulationOptions& options, SimulationReport& report) {
  GoodputOptions& failures = report.failures;
  failures.hours_between_failures = options.rank_hours_between_failures / options.ranks;
  failures.repair_hours = options.repair_hours;
  failures.checkpoint_hours = report.copy_seconds / 3600;
  // A save that takes long cannot begin before the one before has ended.
  const double young = young_interval(failures.checkpoint_hours, failures.hours_between_failures);
  failures.interval_hours = options.interval_hours > 0
                                ? options.interval_hours
                                : std::max(std::min(young, 0.25), report.checkpoint_seconds / 3600);
  failures.work_hours =
      std::max(1000 * failures.interval_hours, 20 * failures.hours_between_failures);
  failures.work_hours = std::min(failures.work_hours, 1e6 * failures.interval_hours);
  failures.runs = 20;
  failures.seed = options.seed;
  report.goodput = simulate_goodput(failures);
}

}  // namespace

SimulationReport simulate_run(const training::RunPlan& plan, const SimulationOptions& options) {
  check_options(options);
  const Stopwatch stopwatch;
  const RunShape shape = shape_of(plan, options.ranks, options.operations_per_second);
  SimulationReport report;
  report.ranks = options.ranks;
  report.zero_stage = plan.config().distributed.zero_stage;
  report.canonical = shape.canonical;
  report.sequences_a_step = shape.sequences;
  report.most_sequences_of_a_rank = shape.largest_share();
  report.passes = (shape.largest_share() + shape.pass_sequences - 1) / shape.pass_sequences;
  for (std::int64_t step = 0; step < options.steps; ++step) check_sequences(shape, step);
  std::vector<double> heard(shape.heard());
  report.world = run_world(options.ranks, options.network, [&](SimulatedRank& rank) {
    for (std::int64_t step = 0; step < options.steps; ++step) play_step(shape, rank, heard);
  });
  const auto steps = static_cast<double>(options.steps);
  report.compute_seconds = shape.compute_seconds(shape.largest_share());
  report.step_seconds = report.world.seconds / steps;
  report.exposed_seconds = report.world.waited_seconds / steps;
  report.network_seconds = report.world.network_seconds / steps;
  report.tokens_per_second =
      static_cast<double>(shape.sequences * plan.micro_batch.length) / report.step_seconds;
  report.sequences_checked = shape.sequences * options.steps;
  for (const auto& entry : report.world.collectives)
    report.collectives_checked += entry.second.calls;
  plan_checkpoint(shape, options, report);
  plan_failures(options, report);
  report.wall_seconds = stopwatch.seconds();
  return report;
}

}  // namespace ovid::simulation
