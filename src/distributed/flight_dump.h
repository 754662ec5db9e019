#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/distributed/flight_recorder.h"

namespace ovid::distributed {

// What one rank knew when it was asked: where it was, and its last collectives.
struct FlightDump {
  int rank = 0;
  int ranks = 1;  // of the run
  std::string host;
  std::int64_t process = 0;
  double time = 0;                // seconds since 1970-01-01 UTC
  std::int64_t monotonic_ns = 0;  // the same moment by the clock of the entries
  std::string section;            // name_of(Section)
  std::int64_t step = 0;
  double section_seconds = 0;                  // since it was entered
  std::string reason;                          // why it was written
  std::vector<std::string> stack;              // of the main thread, innermost first; often empty
  std::vector<FlightRecorder::Entry> entries;  // oldest first
};

Path flight_dump_path(const Path& directory, int rank);  // DIRECTORY/rank-00003.jsonl

// Writes flight_dump_path(directory, dump.rank), whole or not at all, in place of an earlier one:
// a line of JSON about the rank, then a line for each collective. docs/formats.md describes them.
// Makes the folder. Throws ResourceError.
void write_flight_dump(const Path& directory, const FlightDump& dump);

// At a start: dumps of an earlier one go to DIRECTORY/previous, in place of those before, so that a
// merge never takes them for new ones. Each of the `ranks` moves its own; rank 0 also those of
// ranks that there are no more. Throws ResourceError.
void set_aside_flight_dumps(const Path& directory, int rank, int ranks);

// Throws DataError, naming path and line, where the file is no such dump.
FlightDump read_flight_dump(const Path& path);

// All dumps that `places` (files, or folders that hold rank-*.jsonl) lead to, by rank. Throws
// DataError where there is none, where two are of one rank, or where they disagree on how many
// ranks there are.
std::vector<FlightDump> read_flight_dumps(const std::vector<std::string>& places);

}  // namespace ovid::distributed
