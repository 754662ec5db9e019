#include "src/distributed/flight_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "kernels/common/dtype.h"
#include "src/core/error.h"

namespace ovid::distributed {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "ovid-flight";
constexpr int kVersion = 1;
constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 20;
constexpr int kMostRanks = 1 << 20;
constexpr int kKinds = static_cast<int>(CollectiveKind::kBarrier) + 1;
constexpr int kDTypes = static_cast<int>(kernels::DType::kUint8) + 1;

// Labels and names may hold any bytes; a dump is valid UTF-8.
std::string line_of(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

ordered_json rank_line(const FlightDump& dump) {
  return {{"format", kFormat},
          {"version", kVersion},
          {"rank", dump.rank},
          {"ranks", dump.ranks},
          {"host", dump.host},
          {"process", dump.process},
          {"time", dump.time},
          {"monotonic_ns", dump.monotonic_ns},
          {"section", dump.section},
          {"step", dump.step},
          {"section_seconds", dump.section_seconds},
          {"reason", dump.reason},
          {"stack", dump.stack}};
}

ordered_json entry_line(const FlightRecorder::Entry& entry) {
  const CollectiveHeader& header = entry.header;
  return {{"sequence", header.sequence},
          {"kind", name_of(header.kind)},
          {"label", header.label},
          {"dtype", kernels::name_of(static_cast<kernels::DType>(header.dtype))},
          {"bytes", header.bytes},
          {"root", header.root},
          {"begun_ns", entry.begun},
          {"started_ns", entry.started},
          {"ended_ns", entry.ended}};
}

// One line of a dump, whose fields are asked for by name and type.
class Line {
 public:
  Line(const Path& path, std::size_t number, const std::string& text)
      : where_(fmt::format("{}:{}", path.string(), number)),
        json_(ordered_json::parse(text, nullptr, false)) {
    if (!json_.is_object()) fail("the line is no JSON object");
  }

  template <typename T>
  T number(const char* key, T least, T most) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number()) fail(fmt::format("'{}' is no number", key));
    // Asked of the type that the text has: a conversion would wrap or round.
    bool fits = std::is_floating_point_v<T>;
    if (found->is_number_unsigned()) {
      fits = found->template get<std::uint64_t>() <= static_cast<std::uint64_t>(most);
    } else if (found->is_number_integer()) {
      fits = std::is_signed_v<T>;
    }
    if (!fits) fail(fmt::format("'{}' is out of range", key));
    const T value = found->template get<T>();
    if (!(value >= least && value <= most)) {
      fail(fmt::format("{} = {} is not in [{}, {}]", key, value, least, most));
    }
    return value;
  }

  std::string text(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_string()) fail(fmt::format("'{}' is no text", key));
    return found->get<std::string>();
  }

  std::vector<std::string> texts(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_array()) fail(fmt::format("'{}' is no list", key));
    std::vector<std::string> all;
    for (const auto& item : *found) {
      if (!item.is_string()) fail(fmt::format("'{}' holds what is no text", key));
      all.push_back(item.get<std::string>());
    }
    return all;
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw DataError(fmt::format(
        "{}: {}; expected a flight dump as a rank of Ovid writes it (format {}, version {})",
        where_, why, kFormat, kVersion));
  }

 private:
  std::string where_;
  ordered_json json_;
};

template <typename Enum>
std::optional<Enum> named(const std::string& name, int count) {
  for (int i = 0; i < count; ++i) {
    if (name == name_of(static_cast<Enum>(i))) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

constexpr std::int64_t kMostInteger = std::numeric_limits<std::int64_t>::max();

FlightDump read_rank(const Line& line) {
  if (line.text("format") != kFormat) line.fail("the format is another one");
  line.number<int>("version", kVersion, kVersion);
  FlightDump dump;
  dump.ranks = line.number<int>("ranks", 1, kMostRanks);
  dump.rank = line.number<int>("rank", 0, dump.ranks - 1);
  dump.host = line.text("host");
  dump.process = line.number<std::int64_t>("process", 0, kMostInteger);
  dump.time = line.number<double>("time", -1e18, 1e18);
  dump.monotonic_ns = line.number<std::int64_t>("monotonic_ns", 0, kMostInteger);
  dump.section = line.text("section");
  dump.step = line.number<std::int64_t>("step", 0, kMostInteger);
  dump.section_seconds = line.number<double>("section_seconds", 0, 1e18);
  dump.reason = line.text("reason");
  dump.stack = line.texts("stack");
  return dump;
}

FlightRecorder::Entry read_entry(const Line& line) {
  FlightRecorder::Entry entry;
  CollectiveHeader& header = entry.header;
  header.sequence = line.number<std::int64_t>("sequence", 1, kMostInteger);
  header.bytes = line.number<std::uint64_t>("bytes", 0, ~std::uint64_t{0});
  header.root = line.number<std::int32_t>("root", -1, kMostRanks);
  const auto kind = named<CollectiveKind>(line.text("kind"), kKinds);
  const auto dtype = named<kernels::DType>(line.text("dtype"), kDTypes);
  if (!kind) line.fail("the kind is none of the collectives'");
  if (!dtype) line.fail("the dtype is none of Ovid's");
  header.kind = *kind;
  header.dtype = static_cast<std::uint8_t>(*dtype);
  const std::string label = line.text("label");
  label.copy(header.label, CollectiveHeader::kLabelBytes - 1);
  entry.begun = line.number<std::int64_t>("begun_ns", 0, kMostInteger);
  entry.started = line.number<std::int64_t>("started_ns", 0, kMostInteger);
  entry.ended = line.number<std::int64_t>("ended_ns", 0, kMostInteger);
  return entry;
}

bool is_dump_name(const std::string& name) {
  return name.starts_with("rank-") && name.ends_with(".jsonl");
}

std::vector<Path> files_of(const Path& place) {
  if (!std::filesystem::is_directory(place)) return {place};
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(place)) {
    if (is_dump_name(entry.path().filename().string())) files.push_back(entry.path());
  }
  return files;
}

}  // namespace

Path flight_dump_path(const Path& directory, int rank) {
  return directory / fmt::format("rank-{:05}.jsonl", rank);
}

void write_flight_dump(const Path& directory, const FlightDump& dump) {
  std::string text = line_of(rank_line(dump));
  for (const FlightRecorder::Entry& entry : dump.entries) text += line_of(entry_line(entry));
  make_directories(directory);
  replace_file(flight_dump_path(directory, dump.rank), text);
}

void set_aside_flight_dumps(const Path& directory, int rank, int ranks) {
  if (!std::filesystem::is_directory(directory)) return;
  std::vector<Path> mine;
  if (std::filesystem::exists(flight_dump_path(directory, rank))) {
    mine.push_back(flight_dump_path(directory, rank));
  }
  if (rank == 0) {
    for (const Path& file : files_of(directory)) {
      if (file >= flight_dump_path(directory, ranks)) mine.push_back(file);
    }
  }
  for (const Path& file : mine) {
    make_directories(directory / "previous");
    rename_durably(file, directory / "previous" / file.filename());
  }
}

FlightDump read_flight_dump(const Path& path) {
  const std::string text = read_file(path, kMostBytes);
  std::optional<FlightDump> dump;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const Line line(path, ++number, text.substr(begin, end - begin));
    begin = end + 1;
    if (!dump) {
      dump = read_rank(line);
      continue;
    }
    dump->entries.push_back(read_entry(line));
    const std::size_t count = dump->entries.size();
    if (count > FlightRecorder::kEntries) line.fail("there are more entries than a recorder holds");
    if (count > 1 &&
        dump->entries[count - 2].header.sequence >= dump->entries[count - 1].header.sequence) {
      line.fail("the sequence does not rise");
    }
  }
  if (!dump)
    throw DataError(fmt::format("{}: the file is empty; expected a flight dump", path.string()));
  return *dump;
}

std::vector<FlightDump> read_flight_dumps(const std::vector<std::string>& places) {
  std::vector<FlightDump> dumps;
  for (const std::string& place : places) {
    for (const Path& file : files_of(place)) dumps.push_back(read_flight_dump(file));
  }
  if (dumps.empty()) {
    throw DataError(fmt::format(
        "no flight dumps in {}; ranks write rank-00000.jsonl and so on to RUN/flight when one "
        "hangs or fails, and on SIGUSR2",
        fmt::join(places, ", ")));
  }
  std::sort(dumps.begin(), dumps.end(),
            [](const FlightDump& a, const FlightDump& b) { return a.rank < b.rank; });
  for (std::size_t i = 1; i < dumps.size(); ++i) {
    if (dumps[i].rank == dumps[i - 1].rank) {
      throw DataError(
          fmt::format("two dumps are of rank {}; name those of one run only", dumps[i].rank));
    }
    if (dumps[i].ranks != dumps[0].ranks) {
      throw DataError(fmt::format(
          "rank {} was one of {} ranks and rank {} one of {}: these dumps are of two starts of the "
          "run; remove the older ones",
          dumps[0].rank, dumps[0].ranks, dumps[i].rank, dumps[i].ranks));
    }
  }
  return dumps;
}

}  // namespace ovid::distributed
