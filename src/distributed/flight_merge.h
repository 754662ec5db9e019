#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/distributed/flight_dump.h"

namespace ovid::distributed {

enum class FlightVerdict {
  kAgree,    // every rank was through with the same collectives
  kDiffers,  // some rank called another collective than the others
  kBehind,   // some rank did not come to a collective that others began
  kWaiting,  // all came to it, and some did not get out of it
};
const char* name_of(FlightVerdict verdict);

// A rank's last collective, and where it was.
struct RankFlight {
  int rank = 0;
  std::int64_t last_sequence = 0;  // 0: it began none
  std::string last;                // text_of(CollectiveHeader); empty: none
  std::string section;
  std::int64_t step = 0;
  double section_seconds = 0;
  std::string reason;
};

// The first collective at which the ranks are not of one mind.
struct FlightMerge {
  FlightVerdict verdict = FlightVerdict::kAgree;
  std::int64_t sequence = 0;       // of that collective; where they agree, the last common one
  CollectiveHeader expected;       // what most ranks called there
  std::vector<int> culprits;       // kDiffers: those of the minority; kBehind: those that did not
                                   // come; kWaiting: those that did not get out
  std::vector<std::string> calls;  // kDiffers: what each of the culprits called instead
  bool tie = false;                // kDiffers: there is no majority, and culprits is every rank
  std::vector<int> missing;        // ranks that left no dump
  std::vector<RankFlight> ranks;
};

// `dumps` is sorted by rank and not empty (read_flight_dumps). Ranks that left no dump are told,
// and judged in nothing else.
FlightMerge merge_flights(const std::vector<FlightDump>& dumps);

// For people, some lines; for programs, one JSON object.
std::string describe(const FlightMerge& merge);
std::string to_json(const FlightMerge& merge);

}  // namespace ovid::distributed
