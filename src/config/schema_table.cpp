#include "src/config/schema_table.h"

#include "src/config/schema_rows.h"

namespace ovid::config {

std::vector<Key> make_schema_table() {
  std::vector<Key> keys;
  add_run_rows(keys);
  add_model_rows(keys);
  add_optimization_rows(keys);
  add_watching_rows(keys);
  return keys;
}

}  // namespace ovid::config
