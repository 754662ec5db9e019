#include "src/metrics/tensorboard_writer.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "src/core/file.h"
#include "src/metrics/event_record.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::metrics {
namespace {

std::string hexadecimal(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

template <class T>
T little_endian_at(const std::string& bytes, std::size_t at) {
  static_assert(std::endian::native == std::endian::little);
  T value{};
  REQUIRE(bytes.size() >= at + sizeof value);
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The events of a file, with every checksum checked.
std::vector<std::string> events_of(const Path& path) {
  const std::string bytes = read_file(path);
  std::vector<std::string> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto length = little_endian_at<std::uint64_t>(bytes, at);
    REQUIRE(bytes.size() >= at + 16 + length);
    const std::string event = bytes.substr(at + 12, length);
    CHECK(bytes.substr(at, 16 + length) == event_record(event));
    events.push_back(event);
    at += 16 + length;
  }
  return events;
}

std::vector<Path> event_files(const Path& folder) {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("CRC-32C is that of RFC 3720", "[metrics]") {
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c("") == 0u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
}

TEST_CASE("records are those that TensorFlow writes", "[metrics]") {
  CHECK(hexadecimal(event_record(file_version_event(1.0))) ==
        "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a");
  const TaggedScalar loss{"loss", 2.5};
  CHECK(hexadecimal(event_record(scalars_event(1.0, 7, {&loss, 1}))) ==
        "1a00000000000000129bd82d09000000000000f03f10072a0d0a0b0a046c6f7373150000204087ccc43d");
}

TEST_CASE("a file begins with its version and the session's first step", "[metrics]") {
  const test::TemporaryDirectory folder;
  TensorBoardWriter writer(folder.path(), 1.0, 101);
  CHECK(event_files(folder.path()).empty());
  writer.scalar("loss", 101, 2.5, 3.0);
  const TaggedScalar loss{"loss", 2.5};
  CHECK(events_of(writer.path()) == std::vector<std::string>{file_version_event(1.0),
                                                             session_start_event(1.0, 101),
                                                             scalars_event(3.0, 101, {&loss, 1})});
  CHECK_THAT(writer.path().filename().string(),
             Catch::StartsWith("events.out.tfevents.0000000001."));
}

TEST_CASE("every process has a file of its own", "[metrics]") {
  const test::TemporaryDirectory folder;
  for (int i = 0; i < 3; ++i) {
    TensorBoardWriter writer(folder.path(), 1.0);
    writer.scalar("loss", i, 2.5, 3.0);
  }
  CHECK(event_files(folder.path()).size() == 3);
  for (const Path& file : event_files(folder.path())) CHECK(events_of(file).size() == 3);
}

TEST_CASE("text goes out as an indented block of valid UTF-8", "[metrics]") {
  const test::TemporaryDirectory folder;
  TensorBoardWriter writer(folder.path(), 1.0);
  writer.text("sample", 7, "# one\nt\xc3\xa4o \xff", 3.0);
  CHECK(events_of(writer.path()).back() ==
        text_event(3.0, 7, "sample", "    # one\n    t\xc3\xa4o \xef\xbf\xbd"));
}

// The expected bytes are those of TensorBoard 2.21's own protocol buffer classes.
TEST_CASE("events are encoded as TensorBoard encodes them", "[metrics]") {
  CHECK(hexadecimal(text_event(1.0, 7, "s", "ab")) ==
        "09000000000000f03f10072a1f0a1d0a0173420c0807120412020801420261624a0a0a060a047465787420"
        "02");
  CHECK(hexadecimal(session_start_event(1.0, 101)) == "09000000000000f03f10653a020801");
  CHECK(hexadecimal(hyperparameters_event(1.0, {{"a", 0.5}, {"b", std::string("x")}, {"c", true}},
                                          "run")) ==
        "09000000000000f03f2a6a0a680a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f"
        "42060801120212004a400a3e0a0768706172616d7312331a310a0e0a0161120911000000000000e03f0a08"
        "0a016212031a01780a070a016312022001220372756e29000000000000f03f");
  CHECK(hexadecimal(session_end_event(1.0, SessionStatus::kSuccess)) ==
        "09000000000000f03f2a420a400a1a5f68706172616d735f2f73657373696f6e5f656e645f696e666f4206"
        "0801120212004a1a0a180a0768706172616d73120d220b080111000000000000f03f");
}

TEST_CASE("a full disk drops records whole, and they go on once there is room", "[metrics]") {
  const test::TemporaryDirectory folder;
  TensorBoardWriter writer(folder.path(), 1.0);
  writer.scalar("loss", 1, 2.5, 3.0);
  const std::string before = read_file(writer.path());
  {
    rlimit old{};
    ::getrlimit(RLIMIT_FSIZE, &old);
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{before.size() + 10, old.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    writer.scalar("loss", 2, 2.5, 3.0);
    writer.scalar("loss", 3, 2.5, 3.0);
    ::setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, handler);
  }
  CHECK(writer.dropped_records() == 2);
  CHECK(read_file(writer.path()) == before);
  writer.scalar("loss", 4, 2.5, 3.0);
  CHECK(events_of(writer.path()).size() == 4);
}

TEST_CASE("a folder that cannot be written stops nobody", "[metrics]") {
  TensorBoardWriter writer("/nonexistent", 1.0);
  writer.scalar("loss", 1, 2.5, 3.0);
  writer.hyperparameters({{"a", 1.0}, {"b", std::string("x")}, {"c", true}}, "run", 3.0);
  writer.finish(SessionStatus::kSuccess, 4.0);
  CHECK(writer.dropped_records() == 3);
}

}  // namespace ovid::metrics
