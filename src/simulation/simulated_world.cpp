#include "src/simulation/simulated_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <vector>

#include "src/distributed/collective_text.h"
#include "src/distributed/errors.h"
#include "src/simulation/task_scheduler.h"

namespace ovid::simulation {
namespace {

using distributed::CollectiveCall;
using distributed::CollectiveHeader;
using distributed::CollectiveKind;

// A world's ranks look alike: the header checks find what a recorder would have to tell.
class NoRecorder : public distributed::FlightRecorder {
 public:
  void begin(const CollectiveHeader&) override {}
  void start(std::int64_t) override {}
  void end(std::int64_t) override {}
  std::size_t read(std::span<Entry>) const override { return 0; }
};

// One collective, from the first rank that begins it to the last that has seen its end.
struct Meeting {
  std::vector<CollectiveHeader> headers;  // by rank; of those that have begun it
  std::vector<std::byte> facts;           // of an exchange: of all ranks
  int begun = 0;
  int left = 0;          // ranks that have seen its end
  double all_there = 0;  // when the last rank began it
  double end = 0;        // known once all have begun it
};

// What all ranks share.
struct World {
  World(int count, const NetworkModel& model) : ranks(count), network(model) {}

  int ranks;
  NetworkModel network;
  TaskScheduler tasks;
  // Meeting i has the sequence number first + i; ended ones at the front go once all saw them.
  std::deque<Meeting> meetings;
  std::int64_t first = 1;
  std::vector<std::int64_t> waiting_for;  // by rank: a sequence number, 0: nothing
  double network_free = 0;                // when the last collective ended
  std::string aborted;                    // why; empty: it goes on
  WorldReport report;

  Meeting& meeting(std::int64_t sequence) {
    return meetings[static_cast<std::size_t>(sequence - first)];
  }
  bool is_complete(std::int64_t sequence) const {
    return sequence < first || meetings[static_cast<std::size_t>(sequence - first)].begun == ranks;
  }

  void join(int rank, const CollectiveHeader& header, double now,
            std::span<const std::byte> facts) {
    while (header.sequence - first >= static_cast<std::int64_t>(meetings.size())) {
      meetings.emplace_back().headers.resize(static_cast<std::size_t>(ranks));
    }
    Meeting& own = meeting(header.sequence);
    own.headers[static_cast<std::size_t>(rank)] = header;
    own.all_there = std::max(own.all_there, now);
    if (!facts.empty()) {
      own.facts.resize(facts.size() * static_cast<std::size_t>(ranks));
      const std::size_t at = facts.size() * static_cast<std::size_t>(rank);
      if (at + facts.size() <= own.facts.size())
        std::memcpy(own.facts.data() + at, facts.data(), facts.size());
    }
    if (++own.begun == ranks) complete(own);
  }

  void complete(Meeting& own) {
    distributed::require_equal_headers(own.headers);
    const CollectiveHeader& header = own.headers.front();
    const double seconds = collective_seconds(network, header.kind, header.bytes, ranks);
    own.end = std::max(own.all_there, network_free) + seconds;
    network_free = own.end;
    CollectiveTotals& totals = report.collectives[header.kind];
    ++totals.calls;
    totals.bytes += header.bytes;
    totals.seconds += seconds;
    report.network_seconds += seconds;
    own.headers.clear();
    own.headers.shrink_to_fit();
  }

  // A rank has seen the end of a collective.
  void leave(std::int64_t sequence) {
    ++meeting(sequence).left;
    while (!meetings.empty() && meetings.front().left == ranks) {
      meetings.pop_front();
      ++first;
    }
  }
};

class SimulatedCommunicator : public distributed::Communicator {
 public:
  SimulatedCommunicator(World& world, int rank)
      : Communicator({.rank = rank, .count = world.ranks, .local_rank = 0, .local_count = 1},
                     std::make_unique<NoRecorder>()),
        world_(world) {}

  void abort(std::string_view reason) noexcept override {
    if (world_.aborted.empty()) world_.aborted = reason;
  }

  double now = 0;
  double waited = 0;

 private:
  void do_begin(const CollectiveCall& call) override {
    throw_if_aborted();
    world_.join(rank(), call.header, now, {});
  }

  void do_wait(std::int64_t sequence) override {
    wait_for_end(sequence);
    world_.leave(sequence);
  }

  void do_exchange(std::span<const std::byte> in, std::span<std::byte> out,
                   const CollectiveHeader& header) override {
    throw_if_aborted();
    world_.join(rank(), header, now, in);
    wait_for_end(header.sequence);
    if (!out.empty())
      std::memcpy(out.data(), world_.meeting(header.sequence).facts.data(), out.size());
    world_.leave(header.sequence);
  }

  void wait_for_end(std::int64_t sequence) {
    std::int64_t& waiting = world_.waiting_for[static_cast<std::size_t>(rank())];
    waiting = sequence;
    const std::function<bool()> ended = [&] {
      return !world_.aborted.empty() || world_.is_complete(sequence);
    };
    world_.tasks.wait_until(ended);
    throw_if_aborted();
    waiting = 0;
    const double end = world_.meeting(sequence).end;
    waited += std::max(0.0, end - now);
    now = std::max(now, end);
  }

  void throw_if_aborted() const {
    if (!world_.aborted.empty()) throw distributed::RankError(world_.aborted);
  }

  World& world_;
};

class Rank : public SimulatedRank {
 public:
  Rank(World& world, int rank) : own(world, rank) {}
  distributed::Communicator& communicator() override { return own; }
  void compute(double seconds) override { own.now += seconds; }
  double now() const override { return own.now; }

  SimulatedCommunicator own;
};

// What the ranks wait for, those of equal calls together.
std::string deadlock_text(const World& world) {
  std::map<std::string, std::vector<int>> waiting;
  for (int rank = 0; rank < world.ranks; ++rank) {
    const std::int64_t sequence = world.waiting_for[static_cast<std::size_t>(rank)];
    waiting[sequence == 0
                ? std::string("have ended")
                : "wait in " + distributed::text_of(
                                   world.meetings[static_cast<std::size_t>(sequence - world.first)]
                                       .headers[static_cast<std::size_t>(rank)])]
        .push_back(rank);
  }
  std::string text = "the ranks wait for each other for ever:";
  for (const auto& [what, ranks] : waiting) {
    text += fmt::format(" {} ranks, the first is {}, {};", ranks.size(), ranks.front(), what);
  }
  text.back() = '.';
  return text;
}

// Every stack is unwound, so that nothing of a failed run is left.
void end_all(World& world, const std::string& reason) {
  if (world.aborted.empty()) world.aborted = reason;
  for (;;) {
    try {
      world.tasks.run();
      return;
    } catch (const std::exception&) {
      // The first failure is the one to tell; these follow from it.
    }
  }
}

}  // namespace

WorldReport run_world(int ranks, const NetworkModel& network,
                      const std::function<void(SimulatedRank&)>& body) {
  World world(ranks, network);
  world.waiting_for.assign(static_cast<std::size_t>(ranks), 0);
  std::vector<std::unique_ptr<Rank>> all;
  for (int rank = 0; rank < ranks; ++rank) {
    all.push_back(std::make_unique<Rank>(world, rank));
    world.tasks.add([&body, own = all.back().get()] { body(*own); });
  }
  bool ended = false;
  try {
    ended = world.tasks.run();
  } catch (const std::exception& error) {
    end_all(world, error.what());
    throw;
  }
  if (!ended) {
    const std::string text = deadlock_text(world);
    end_all(world, text);
    throw distributed::CollectiveError(text);
  }
  for (const auto& rank : all) {
    world.report.seconds = std::max(world.report.seconds, rank->now());
    world.report.waited_seconds += rank->own.waited / ranks;
  }
  return world.report;
}

}  // namespace ovid::simulation
