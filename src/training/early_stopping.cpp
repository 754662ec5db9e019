#include "src/training/early_stopping.h"

#include <cmath>

namespace ovid::training {

bool note_validation(ValidationProgress& progress, double loss, double minimum_improvement) {
  const bool improved =
      std::isfinite(loss) && (!progress.lowest || loss < *progress.lowest - minimum_improvement);
  if (improved) {
    progress.lowest = loss;
    progress.without_improvement = 0;
  } else {
    ++progress.without_improvement;
  }
  return improved;
}

bool out_of_patience(const ValidationProgress& progress, std::int64_t patience) {
  return patience > 0 && progress.without_improvement >= patience;
}

}  // namespace ovid::training
