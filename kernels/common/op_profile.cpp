#include "kernels/common/op_profile.h"

namespace ovid::kernels {

namespace {

std::string text_of(std::initializer_list<std::int64_t> sizes) {
  std::string text;
  for (const std::int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

}  // namespace

std::size_t OpProfile::place_of(std::string_view name, std::string_view shape) {
  // A run has some dozens of ops and shapes: a search in order is as quick as a table.
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].name == name && entries_[i].shape == shape) return i;
  }
  entries_.push_back({.name = std::string(name), .shape = std::string(shape), .cost = {}});
  return entries_.size() - 1;
}

void OpProfile::add_call(std::size_t place, double seconds, OpCost cost) noexcept {
  if (place >= entries_.size()) return;  // cleared while the op ran
  Entry& entry = entries_[place];
  ++entry.calls;
  entry.seconds += seconds;
  entry.cost.flops += cost.flops;
  entry.cost.bytes += cost.bytes;
}

void OpProfile::add(std::string_view name, std::string_view shape, double seconds, OpCost cost) {
  add_call(place_of(name, shape), seconds, cost);
}

void OpScope::begin(const char* name, std::initializer_list<std::int64_t> sizes, OpCost cost) {
  // The entry is made here, where running out of memory may still be thrown.
  place_ = profile_->place_of(name, text_of(sizes));
  cost_ = cost;
  start_ = std::chrono::steady_clock::now();
}

void OpScope::end() noexcept {
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start_;
  profile_->add_call(place_, taken.count(), cost_);
}

}  // namespace ovid::kernels
