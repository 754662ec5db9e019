#pragma once

#include <cstdint>
#include <optional>

namespace ovid::training {

// What early stopping remembers; part of a checkpoint.
struct ValidationProgress {
  std::optional<double> lowest;          // validation loss that counted as an improvement last
  std::int64_t without_improvement = 0;  // validations since

  bool operator==(const ValidationProgress&) const = default;
};

// Takes note of a validation. Returns whether it improved: no loss before, or lower by more than
// `minimum_improvement` nats. A loss that is not finite never does.
bool note_validation(ValidationProgress& progress, double loss, double minimum_improvement);

// Whether `patience` validations in a row did not improve; never where it is 0.
bool out_of_patience(const ValidationProgress& progress, std::int64_t patience);

}  // namespace ovid::training
