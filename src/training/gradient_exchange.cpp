#include "src/training/gradient_exchange.h"

#include <algorithm>
#include <chrono>

namespace ovid::training {

using model::Shape;
using model::View;

namespace {

// Of the clock that flight records are kept by.
std::int64_t nanoseconds_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double seconds_of(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) * 1e-9;
}

}  // namespace

View own_part(const model::ShardLayout& layout, const model::ParameterSet& set, std::size_t group,
              int rank) {
  const std::int64_t elements = layout.part_elements(group);
  return set.group(group)
      .reshaped(Shape{layout.ranks, elements})
      .row_range(rank, 1)
      .reshaped(Shape{elements});
}

std::vector<View> own_parts(const model::ShardLayout& layout, const model::ParameterSet& set,
                            int rank) {
  std::vector<View> parts;
  for (std::size_t group = 0; group < layout.groups.size(); ++group)
    parts.push_back(own_part(layout, set, group, rank));
  return parts;
}

void gather_parts(distributed::Communicator& communicator, const model::ShardLayout& layout,
                  const model::ParameterSet& set) {
  std::vector<distributed::Ticket> tickets;
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    if (layout.groups[group].elements == 0) continue;  // all of it is frozen
    tickets.push_back(
        communicator.begin_all_gather(own_part(layout, set, group, communicator.rank()),
                                      set.group(group), layout.groups[group].name));
  }
  for (const distributed::Ticket ticket : tickets) communicator.wait(ticket);
}

GradientExchange::GradientExchange(distributed::Communicator& communicator,
                                   const model::ShardLayout& layout,
                                   const model::ParameterSet& gradients, Result result)
    : communicator_(communicator), layout_(layout), gradients_(gradients), result_(result) {}

void GradientExchange::begin(std::size_t group) {
  if (layout_.groups[group].elements == 0) return;  // all of it is frozen
  const View row = gradients_.group(group);
  const std::string& label = layout_.groups[group].name;
  tickets_.push_back(
      result_ == Result::kEverywhere
          ? communicator_.begin_all_reduce(row, label)
          : communicator_.begin_reduce_scatter(
                row, own_part(layout_, gradients_, group, communicator_.rank()), label));
}

void GradientExchange::note_ready(std::int64_t block) {
  // Block i writes the gradients of the norm behind it, which is the first of block i + 1 or the
  // final one: what is complete is the group after its own. Group 1 + i is block i's.
  begin(static_cast<std::size_t>(block + 2));
  if (block < 0) begin(0);
}

void GradientExchange::note_all_ready() {
  for (std::int64_t block = static_cast<std::int64_t>(layout_.groups.size()) - 3; block >= -1;
       --block) {
    note_ready(block);
  }
}

void GradientExchange::finish() {
  const std::int64_t asked = nanoseconds_now();
  for (const distributed::Ticket ticket : tickets_) communicator_.wait(ticket);
  time_.waiting += seconds_of(nanoseconds_now() - asked);
  ++time_.steps;
  count_time(asked);
  tickets_.clear();
}

void GradientExchange::count_time(std::int64_t asked) {
  if (tickets_.empty()) return;
  std::vector<distributed::FlightRecorder::Entry> entries(distributed::FlightRecorder::kEntries);
  entries.resize(communicator_.recorder().read(entries));
  for (const auto& entry : entries) {
    const std::int64_t sequence = entry.header.sequence;
    if (sequence < tickets_.front().sequence || sequence > tickets_.back().sequence) continue;
    if (entry.started == 0 || entry.ended < entry.started) continue;
    time_.transfer += seconds_of(entry.ended - entry.started);
    time_.exposed +=
        seconds_of(std::max<std::int64_t>(0, entry.ended - std::max(entry.started, asked)));
  }
}

}  // namespace ovid::training
