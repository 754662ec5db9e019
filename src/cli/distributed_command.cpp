#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/distributed/flight_merge.h"

namespace ovid::cli {

ExitCode run_distributed_flight(const FlightOptions& options) {
  const auto merge = distributed::merge_flights(distributed::read_flight_dumps(options.places));
  print(options.json ? distributed::to_json(merge) + "\n" : distributed::describe(merge));
  return ExitCode::kDone;
}

}  // namespace ovid::cli
