#include "src/checkpoint/rank_records.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

constexpr const char* kFailure = "failure";
constexpr const char* kRank = "rank";
constexpr const char* kAttempt = "attempt";

Path record_path(const Path& pending, int rank) {
  return pending / fmt::format("rank-{:05}.record", rank);
}

bool is_there(const Path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// A path in a message may have bytes that are no text; a manifest may not.
std::string ascii(std::string text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

Manifest read_record(const Path& pending, std::int64_t step, const WritingRanks& ranks, int rank) {
  const Path path = record_path(pending, rank);
  const auto refuse = [&](const std::string& why) {
    throw ResourceError(fmt::format("the record of rank {}: {}", rank, why));
  };
  Manifest record;
  try {
    record = read_manifest_file(path);
  } catch (const Error& error) {
    refuse(error.what());
  }
  if (record.step != step || record.metadata[kRank] != std::to_string(rank) ||
      record.metadata[kAttempt] != fmt::format("{:016x}", ranks.attempt)) {
    refuse(fmt::format("{} is of another save", path.string()));
  }
  if (!record.metadata[kFailure].empty()) {
    throw ResourceError(
        fmt::format("rank {} could not write its part: {}", rank, record.metadata[kFailure]));
  }
  return record;
}

void add(std::map<std::string, WrittenFile>& all, const std::map<std::string, WrittenFile>& more,
         int rank) {
  for (const auto& [name, file] : more) {
    if (all.emplace(name, file).second) continue;
    throw ResourceError(fmt::format(
        "rank {} wrote {}, which another rank wrote too: a defect of Ovid", rank, name));
  }
}

// A range of bytes of a file, as one rank wrote it.
struct WrittenRange {
  PartName::Range range;
  std::string checksum;
};

MappedFile open_written(const Path& path) {
  try {
    return MappedFile(path);
  } catch (const DataError& error) {
    throw ResourceError(error.what());  // it was there: the file system is to blame
  }
}

// Reads a file once, and finds the hash of the whole while it compares those of the ranges.
WrittenFile assemble(const Path& path, std::vector<WrittenRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const WrittenRange& a, const WrittenRange& b) {
    return a.range.begin < b.range.begin;
  });
  const MappedFile file = open_written(path);
  Checksum whole;
  std::uint64_t covered = 0;
  for (const WrittenRange& part : ranges) {
    if (part.range.begin != covered || part.range.end > file.bytes().size()) {
      throw ResourceError(fmt::format("{}: bytes {} to {} were written, and {} bytes before them",
                                      path.string(), part.range.begin, part.range.end, covered));
    }
    Checksum own;
    constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;
    for (std::uint64_t at = covered; at < part.range.end; at += kPiece) {
      const auto piece = file.bytes().subspan(at, std::min(kPiece, part.range.end - at));
      own.update(piece);
      whole.update(piece);
      forget_mapped(piece);
    }
    if (own.digest() != part.checksum) {
      throw ResourceError(
          fmt::format("{}: bytes {} to {} are not those that were written; check the file system",
                      path.string(), part.range.begin, part.range.end));
    }
    covered = part.range.end;
  }
  if (covered != file.bytes().size()) {
    throw ResourceError(fmt::format("{} has {} bytes, the ranks wrote {}", path.string(),
                                    file.bytes().size(), covered));
  }
  return {covered, whole.digest()};
}

std::map<std::string, WrittenFile> without_ranges(const Path& pending,
                                                  const std::map<std::string, WrittenFile>& all) {
  std::map<std::string, WrittenFile> files;
  std::map<std::string, std::vector<WrittenRange>> ranged;
  for (const auto& [name, written] : all) {
    const std::optional<PartName> part = parse_part_name(name);
    if (!part) throw ResourceError(fmt::format("a record names '{}'", name));
    if (!part->range) {
      files[name] = written;
    } else {
      ranged[std::string(part->tensor)].push_back({*part->range, written.checksum});
    }
  }
  for (auto& [name, ranges] : ranged) {
    if (files.count(name) != 0) {
      throw ResourceError(fmt::format("{} was written whole and in parts: a defect of Ovid", name));
    }
    files[name] = assemble(pending / name, std::move(ranges));
  }
  return files;
}

}  // namespace

bool wait_for(const std::function<bool()>& done, double seconds, const Hurry* hurry) {
  using Clock = std::chrono::steady_clock;
  // For ranks that are all but done when the run ends.
  constexpr std::chrono::seconds kGrace{5};
  // A deadline of a hundred years does not overflow the clock.
  const std::chrono::duration<double> time(std::min(seconds, 3e9));
  auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
  bool hurried = false;
  std::chrono::milliseconds pause{1};
  while (!done()) {
    if (!hurried && hurry != nullptr && hurry->load()) {
      hurried = true;
      deadline = std::min(deadline, Clock::now() + kGrace);
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds{100});
  }
  return true;
}

void leave_record(const Path& pending, std::int64_t step, const WritingRanks& ranks,
                  const RankRecord& record) {
  Manifest text;
  text.step = step;
  text.files = record.files;
  text.metadata = {{kRank, std::to_string(ranks.rank)},
                   {kAttempt, fmt::format("{:016x}", ranks.attempt)},
                   {kFailure, ascii(record.failure)}};
  replace_file(record_path(pending, ranks.rank), manifest_text(text));
}

std::map<std::string, WrittenFile> collect_records(const Path& pending, std::int64_t step,
                                                   const WritingRanks& ranks,
                                                   const std::map<std::string, WrittenFile>& own,
                                                   const Hurry* hurry) {
  std::map<std::string, WrittenFile> all = own;
  int next = 1;  // the first whose record has not been read
  const auto read_what_is_there = [&] {
    for (; next < ranks.count && is_there(record_path(pending, next)); ++next)
      add(all, read_record(pending, step, ranks, next).files, next);
    return next == ranks.count;
  };
  if (!wait_for(read_what_is_there, ranks.timeout_seconds, hurry)) {
    throw ResourceError(fmt::format(
        "rank {} has not written its part in time (at most {:.0f} s): its disk is slow, "
        "or it does not see {}",
        next, ranks.timeout_seconds, pending.string()));
  }
  for (int rank = 1; rank < ranks.count; ++rank) {
    std::error_code error;
    std::filesystem::remove(record_path(pending, rank), error);
    if (error) {
      throw ResourceError(fmt::format("cannot remove {}: {}", record_path(pending, rank).string(),
                                      error.message()));
    }
  }
  return without_ranges(pending, all);
}

}  // namespace ovid::checkpoint
