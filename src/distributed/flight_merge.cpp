#include "src/distributed/flight_merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/distributed/collective_text.h"
#include "src/distributed/rank_text.h"

namespace ovid::distributed {
namespace {

using Entry = FlightRecorder::Entry;

std::int64_t last_sequence(const FlightDump& dump) {
  return dump.entries.empty() ? 0 : dump.entries.back().header.sequence;
}

const Entry* find(const FlightDump& dump, std::int64_t sequence) {
  const auto at = std::lower_bound(
      dump.entries.begin(), dump.entries.end(), sequence,
      [](const Entry& entry, std::int64_t value) { return entry.header.sequence < value; });
  return at != dump.entries.end() && at->header.sequence == sequence ? &*at : nullptr;
}

RankFlight summary_of(const FlightDump& dump) {
  return {.rank = dump.rank,
          .last_sequence = last_sequence(dump),
          .last = dump.entries.empty() ? "" : text_of(dump.entries.back().header),
          .section = dump.section,
          .step = dump.step,
          .section_seconds = dump.section_seconds,
          .reason = dump.reason};
}

// The call that most ranks made, and whether more than half of those that made one did.
struct Majority {
  CollectiveHeader header;
  bool is_clear = false;
};

Majority majority_of(const std::vector<std::pair<int, const Entry*>>& calls) {
  Majority best;
  std::size_t most = 0;
  for (const auto& [rank, entry] : calls) {
    const auto equal =
        static_cast<std::size_t>(std::count_if(calls.begin(), calls.end(), [&](const auto& other) {
          return other.second->header == entry->header;
        }));
    if (equal > most) {
      most = equal;
      best.header = entry->header;
    }
  }
  best.is_clear = 2 * most > calls.size();
  return best;
}

// Judges one collective. True where it explains the failure.
bool judge(const std::vector<FlightDump>& dumps, std::int64_t sequence, FlightMerge& merge) {
  std::vector<std::pair<int, const Entry*>> calls;
  std::vector<int> absent;
  std::vector<int> inside;
  for (const FlightDump& dump : dumps) {
    const Entry* entry = find(dump, sequence);
    if (entry != nullptr) {
      calls.emplace_back(dump.rank, entry);
      if (entry->ended == 0) inside.push_back(dump.rank);
    } else if (last_sequence(dump) < sequence) {
      absent.push_back(dump.rank);
    }
  }
  if (calls.empty()) return false;
  const Majority majority = majority_of(calls);
  merge.sequence = sequence;
  merge.expected = majority.header;
  for (const auto& [rank, entry] : calls) {
    if (entry->header == majority.header && majority.is_clear) continue;
    merge.culprits.push_back(rank);
    merge.calls.push_back(text_of(entry->header));
  }
  if (!merge.culprits.empty()) {
    merge.verdict = FlightVerdict::kDiffers;
    merge.tie = !majority.is_clear;
  } else if (!absent.empty()) {
    merge.verdict = FlightVerdict::kBehind;
    merge.culprits = absent;
  } else if (!inside.empty()) {
    merge.verdict = FlightVerdict::kWaiting;
    merge.culprits = inside;
  }
  return merge.verdict != FlightVerdict::kAgree;
}

std::string headline(const FlightMerge& merge) {
  const std::string call = text_of(merge.expected);
  switch (merge.verdict) {
    case FlightVerdict::kAgree:
      return merge.sequence == 0
                 ? "no rank began a collective: nothing here explains a hang"
                 : fmt::format(
                       "all ranks are through with the same collectives; the last one was "
                       "{}",
                       call);
    case FlightVerdict::kDiffers: {
      std::string text = merge.tie ? fmt::format(
                                         "the ranks differ first in collective {}, without a "
                                         "majority:",
                                         merge.sequence)
                                   : fmt::format(
                                         "{} differed first, in collective {}: the others called "
                                         "{};",
                                         describe_ranks(merge.culprits), merge.sequence, call);
      for (std::size_t i = 0; i < merge.culprits.size(); ++i) {
        text += fmt::format("{} rank {} called {}", i == 0 ? "" : ",", merge.culprits[i],
                            merge.calls[i]);
      }
      return text;
    }
    case FlightVerdict::kBehind:
      return fmt::format("{} did not come to collective {}, which the others began",
                         describe_ranks(merge.culprits), call);
    case FlightVerdict::kWaiting:
      return fmt::format("all ranks came to collective {}, and {} did not get out of it", call,
                         describe_ranks(merge.culprits));
  }
  return "";
}

}  // namespace

const char* name_of(FlightVerdict verdict) {
  switch (verdict) {
    case FlightVerdict::kAgree:
      return "agree";
    case FlightVerdict::kDiffers:
      return "differs";
    case FlightVerdict::kBehind:
      return "behind";
    case FlightVerdict::kWaiting:
      return "waiting";
  }
  return "?";
}

FlightMerge merge_flights(const std::vector<FlightDump>& dumps) {
  FlightMerge merge;
  std::int64_t first = 1;
  std::int64_t last = 0;
  int next = 0;
  for (const FlightDump& dump : dumps) {
    merge.ranks.push_back(summary_of(dump));
    for (; next < dump.rank; ++next) merge.missing.push_back(next);
    next = dump.rank + 1;
    last = std::max(last, last_sequence(dump));
    // Before its oldest entry a recorder says nothing, and what one rank forgot is not compared. A
    // rank that stopped long ago still is, from its last one on.
    if (!dump.entries.empty()) first = std::max(first, dump.entries.front().header.sequence);
  }
  for (; next < dumps.front().ranks; ++next) merge.missing.push_back(next);
  for (const FlightDump& dump : dumps) first = std::min(first, last_sequence(dump) + 1);
  // Entries that no dump holds cost nothing: from the oldest common one on at most a ring's length
  // is looked at, and what lies before it only where a rank fell behind by more than that.
  first = std::max(first, last - 2 * static_cast<std::int64_t>(FlightRecorder::kEntries));
  for (std::int64_t sequence = first; sequence <= last; ++sequence) {
    if (judge(dumps, sequence, merge)) break;
  }
  return merge;
}

std::string describe(const FlightMerge& merge) {
  std::string text = headline(merge) + "\n";
  if (!merge.missing.empty()) {
    text +=
        fmt::format("no dump of {}: where a rank died or was stopped, it is the first suspect\n",
                    describe_ranks(merge.missing));
  }
  for (const RankFlight& rank : merge.ranks) {
    text += fmt::format("rank {}: {} of step {} for {:.1f} s; last collective: {}\n", rank.rank,
                        rank.section, rank.step, rank.section_seconds,
                        rank.last.empty() ? "none" : rank.last);
  }
  return text;
}

std::string to_json(const FlightMerge& merge) {
  nlohmann::ordered_json json{{"verdict", name_of(merge.verdict)},
                              {"message", headline(merge)},
                              {"sequence", merge.sequence},
                              {"kind", name_of(merge.expected.kind)},
                              {"label", merge.expected.label},
                              {"bytes", merge.expected.bytes},
                              {"culprits", merge.culprits},
                              {"calls", merge.calls},
                              {"tie", merge.tie},
                              {"missing", merge.missing},
                              {"ranks", nlohmann::ordered_json::array()}};
  for (const RankFlight& rank : merge.ranks) {
    json["ranks"].push_back({{"rank", rank.rank},
                             {"last_sequence", rank.last_sequence},
                             {"last", rank.last},
                             {"section", rank.section},
                             {"step", rank.step},
                             {"section_seconds", rank.section_seconds},
                             {"reason", rank.reason}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace ovid::distributed
