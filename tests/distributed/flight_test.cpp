#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <functional>

#include "src/core/error.h"
#include "src/distributed/flight_dump.h"
#include "src/distributed/flight_merge.h"
#include "src/distributed/memory_flight_recorder.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::distributed {
namespace {

CollectiveHeader call(std::int64_t sequence, const std::string& label, std::uint64_t bytes = 4096) {
  CollectiveHeader header;
  header.sequence = sequence;
  header.kind = CollectiveKind::kAllReduce;
  header.dtype = static_cast<std::uint8_t>(kernels::DType::kFloat32);
  header.bytes = bytes;
  label.copy(header.label, CollectiveHeader::kLabelBytes - 1);
  return header;
}

// A rank that was through with collectives 1 to `ended`, and is in `inside` more.
FlightDump dump_of(int rank, int ranks, std::int64_t ended, int inside = 0) {
  MemoryFlightRecorder recorder;
  for (std::int64_t sequence = 1; sequence <= ended + inside; ++sequence) {
    recorder.begin(call(sequence, fmt::format("gradients {}", sequence)));
    if (sequence <= ended) {
      recorder.start(sequence);
      recorder.end(sequence);
    }
  }
  FlightDump dump{.rank = rank,
                  .ranks = ranks,
                  .host = "node\xff",
                  .process = 77,
                  .time = 1.5,
                  .monotonic_ns = 9,
                  .section = "step",
                  .step = 41,
                  .section_seconds = 12.25,
                  .reason = "asked",
                  .stack = {"main+0x1"}};
  dump.entries.resize(FlightRecorder::kEntries);
  dump.entries.resize(recorder.read(dump.entries));
  return dump;
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const DataError& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a flight dump reads back as it was written", "[distributed]") {
  const test::TemporaryDirectory folder;
  const FlightDump dump = dump_of(3, 4, 2000, 1);
  write_flight_dump(folder / "flight", dump);
  const auto all = read_flight_dumps({(folder / "flight").string()});
  REQUIRE(all.size() == 1);
  const FlightDump& read = all[0];
  CHECK(read.rank == 3);
  CHECK(read.ranks == 4);
  CHECK(read.host == "node\xEF\xBF\xBD");  // what is no UTF-8 becomes U+FFFD
  CHECK(read.section == "step");
  CHECK(read.step == 41);
  CHECK(read.section_seconds == 12.25);
  CHECK(read.stack == dump.stack);
  REQUIRE(read.entries.size() == FlightRecorder::kEntries);
  CHECK(read.entries.front().header.sequence == 2001 - 1023);
  for (std::size_t i = 0; i < read.entries.size(); ++i) {
    CHECK(read.entries[i].header == dump.entries[i].header);
    CHECK(read.entries[i].begun == dump.entries[i].begun);
    CHECK(read.entries[i].ended == dump.entries[i].ended);
  }
}

TEST_CASE("a file that is no flight dump is refused with its line", "[distributed]") {
  const test::TemporaryDirectory folder;
  write_flight_dump(folder.path(), dump_of(0, 2, 3));
  const Path path = flight_dump_path(folder.path(), 0);
  const std::string good = read_file(path);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    replace_file(path, text);
    return message_of([&] { read_flight_dump(path); });
  };
  CHECK(with("ovid-flight", "other") != "no error");
  CHECK(with("\"rank\":0", "\"rank\":2") != "no error");
  CHECK(with("\"rank\":0", "\"rank\":\"0\"") != "no error");
  CHECK(with("\"ranks\":2", "\"ranks\":99999999999999999999") != "no error");
  CHECK_THAT(with("\"sequence\":2", "\"sequence\":1"), Catch::Contains(":3: the sequence"));
  CHECK_THAT(with("\"sequence\":3", "\"sequence\":-3"), Catch::Contains(":4:"));
  CHECK_THAT(with("\"bytes\":4096", "\"bytes\":-1"), Catch::Contains("bytes"));
  CHECK_THAT(with("\"bytes\":4096", "\"bytes\":1e300"), Catch::Contains("bytes"));
  CHECK_THAT(with("all_reduce", "all_of_it"), Catch::Contains(":2: the kind"));
  CHECK_THAT(with("}\n", "\n"), Catch::Contains(":1: the line is no JSON object"));
  replace_file(path, "");
  CHECK_THAT(message_of([&] { read_flight_dump(path); }), Catch::Contains("empty"));
  std::filesystem::remove(path);
  CHECK_THAT(message_of([&] { read_flight_dumps({folder.path().string()}); }),
             Catch::Contains("no flight dumps"));
}

TEST_CASE("dumps of an earlier start are set aside, and never merged with new ones",
          "[distributed]") {
  const test::TemporaryDirectory folder;
  for (int rank = 0; rank < 4; ++rank) write_flight_dump(folder.path(), dump_of(rank, 4, 3));
  for (int rank = 0; rank < 2; ++rank) set_aside_flight_dumps(folder.path(), rank, 2);
  CHECK_THAT(message_of([&] { read_flight_dumps({folder.path().string()}); }),
             Catch::Contains("no flight dumps"));
  CHECK(read_flight_dumps({(folder / "previous").string()}).size() == 4);
  write_flight_dump(folder.path(), dump_of(1, 2, 3));
  CHECK(merge_flights(read_flight_dumps({folder.path().string()})).missing == std::vector<int>{0});
}

TEST_CASE("dumps of two ranks with one number, or of two starts, are refused", "[distributed]") {
  const test::TemporaryDirectory folder;
  write_flight_dump(folder / "a", dump_of(0, 2, 3));
  write_flight_dump(folder / "b", dump_of(0, 2, 3));
  write_flight_dump(folder / "c", dump_of(1, 3, 3));
  const auto read = [&](const std::string& one, const std::string& other) {
    return message_of([&] {
      read_flight_dumps({(folder / one).string(), (folder / other).string()});
    });
  };
  CHECK_THAT(read("a", "b"), Catch::Contains("two dumps are of rank 0"));
  CHECK_THAT(read("a", "c"), Catch::Contains("two starts"));
}

TEST_CASE("merged dumps name the rank that did not come to a collective", "[distributed]") {
  const FlightMerge merge = merge_flights(
      {dump_of(0, 4, 117, 1), dump_of(1, 4, 117, 1), dump_of(2, 4, 117, 0), dump_of(3, 4, 117, 1)});
  CHECK(merge.verdict == FlightVerdict::kBehind);
  CHECK(merge.sequence == 118);
  CHECK(merge.culprits == std::vector<int>{2});
  CHECK(std::string(merge.expected.label) == "gradients 118");
  CHECK(merge.expected.bytes == 4096);
  CHECK(merge.missing.empty());
  CHECK_THAT(describe(merge), Catch::Contains("rank 2 did not come to collective #118"));
  CHECK_THAT(to_json(merge), Catch::Contains(R"("verdict":"behind")"));
}

TEST_CASE("a rank that fell behind by more than a recorder holds is named", "[distributed]") {
  const FlightMerge merge =
      merge_flights({dump_of(0, 3, 9000, 1), dump_of(1, 3, 10), dump_of(2, 3, 9000, 1)});
  CHECK(merge.verdict == FlightVerdict::kBehind);
  CHECK(merge.culprits == std::vector<int>{1});
}

TEST_CASE("merged dumps name the rank that called something else", "[distributed]") {
  std::vector<FlightDump> dumps{dump_of(0, 3, 9, 2), dump_of(1, 3, 9, 2), dump_of(2, 3, 9, 2)};
  dumps[1].entries[9].header = call(10, "gradients 11", 64);
  FlightMerge merge = merge_flights(dumps);
  CHECK(merge.verdict == FlightVerdict::kDiffers);
  CHECK(merge.sequence == 10);
  CHECK(merge.culprits == std::vector<int>{1});
  CHECK_FALSE(merge.tie);
  REQUIRE(merge.calls.size() == 1);
  CHECK_THAT(merge.calls[0], Catch::Contains("gradients 11"));
  dumps.pop_back();  // one against one
  merge = merge_flights(dumps);
  CHECK(merge.tie);
  CHECK(merge.culprits == std::vector<int>{0, 1});
  CHECK(merge.missing == std::vector<int>{2});
}

TEST_CASE("merged dumps tell who did not get out, and when nothing is wrong", "[distributed]") {
  FlightMerge merge = merge_flights({dump_of(0, 2, 5, 1), dump_of(1, 2, 6)});
  CHECK(merge.verdict == FlightVerdict::kWaiting);
  CHECK(merge.sequence == 6);
  CHECK(merge.culprits == std::vector<int>{0});
  merge = merge_flights({dump_of(0, 2, 6), dump_of(1, 2, 6)});
  CHECK(merge.verdict == FlightVerdict::kAgree);
  CHECK(merge.sequence == 6);
  merge = merge_flights({dump_of(0, 2, 0), dump_of(1, 2, 0)});
  CHECK(merge.verdict == FlightVerdict::kAgree);
  CHECK(merge.sequence == 0);
  merge = merge_flights({dump_of(0, 2, 0), dump_of(1, 2, 0, 1)});  // one never began
  CHECK(merge.verdict == FlightVerdict::kBehind);
  CHECK(merge.culprits == std::vector<int>{0});
}

}  // namespace ovid::distributed
