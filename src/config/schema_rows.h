#pragma once

#include <vector>

#include "src/config/schema_binding.h"

// The parts of the table, and what they share. Each adds the rows of its sections, in the order of
// the resolved config.
namespace ovid::config {

inline constexpr double kMostSteps = 1e12;
// With the longest context a step stays below 2^44 tokens.
inline constexpr double kMostSequences = 16777216;
inline constexpr double kLongestContext = 1048576;

inline Key joined(Binding binding, Key key) {
  key.get = binding.get;
  key.set = binding.set;
  return key;
}

template <typename E>
std::vector<std::string_view> names_of() {
  return {kNames<E>.begin(), kNames<E>.end()};
}

void add_run_rows(std::vector<Key>& keys);           // run, device, precision
void add_model_rows(std::vector<Key>& keys);         // model, initialize_from, data
void add_optimization_rows(std::vector<Key>& keys);  // batch to guard
void add_watching_rows(std::vector<Key>& keys);      // validation to distributed

}  // namespace ovid::config
