#include "src/training/gradient_exchange.h"

namespace ovid::training {

using model::Shape;
using model::View;

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
  for (const distributed::Ticket ticket : tickets_) communicator_.wait(ticket);
  tickets_.clear();
}

}  // namespace ovid::training
