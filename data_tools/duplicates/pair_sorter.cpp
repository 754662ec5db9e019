#include "data_tools/duplicates/pair_sorter.h"

#include <fmt/format.h>

#include <cstring>
#include <span>
#include <system_error>

namespace ovid::data_tools::duplicates {

namespace {

constexpr std::size_t kWindowPairs = (64 << 10) / sizeof(Pair);

// One run, read from front to back; pages behind the window are given back.
class RunReader {
 public:
  explicit RunReader(const Path& path) : file_(path), count_(file_.bytes().size() / sizeof(Pair)) {}

  bool at_end() const { return next_ == count_; }
  Pair pair() const {
    Pair pair;
    std::memcpy(&pair, file_.bytes().data() + next_ * sizeof(Pair), sizeof pair);
    return pair;
  }
  void advance() {
    ++next_;
    if (next_ - forgotten_ >= kWindowPairs) {
      forget_mapped(
          file_.bytes().subspan(forgotten_ * sizeof(Pair), (next_ - forgotten_) * sizeof(Pair)));
      forgotten_ = next_;
    }
  }

 private:
  MappedFile file_;
  std::size_t count_;
  std::size_t next_ = 0;
  std::size_t forgotten_ = 0;
};

class RunWriter {
 public:
  explicit RunWriter(const Path& path) : file_(path, WriteMode::kTruncate) {
    buffer_.reserve(kWindowPairs);
  }
  void add(const Pair& pair) {
    buffer_.push_back(pair);
    if (buffer_.size() == kWindowPairs) flush();
  }
  void close() {
    flush();
    file_.close();
  }

 private:
  void flush() {
    file_.write(std::as_bytes(std::span(buffer_)));
    buffer_.clear();
  }
  OutputFile file_;
  std::vector<Pair> buffer_;
};

void remove_quietly(const Path& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace

PairSorter::PairSorter(Path prefix, std::uint64_t memory_bytes)
    : prefix_(std::move(prefix)),
      memory_bytes_(memory_bytes),
      capacity_(static_cast<std::size_t>(
          std::max<std::uint64_t>(memory_bytes / sizeof(Pair), kWindowPairs))) {
  // At once: a vector that grows by doubling would hold both its old and its new half for a moment.
  // Memory that is never touched is none.
  pairs_.reserve(capacity_);
  // What a killed process left.
  std::error_code ignored;
  const std::string name = prefix_.filename().string();
  for (const auto& entry : std::filesystem::directory_iterator(prefix_.parent_path(), ignored)) {
    if (entry.path().filename().string().starts_with(name)) remove_quietly(entry.path());
  }
}

PairSorter::~PairSorter() {
  for (const Path& run : runs_) remove_quietly(run);
}

Path PairSorter::next_name() {
  return Path(prefix_.string() + fmt::format("{:06}", names_++));
}

void PairSorter::spill() {
  if (pairs_.empty()) return;
  std::sort(pairs_.begin(), pairs_.end());
  runs_.push_back(next_name());
  OutputFile file(runs_.back(), WriteMode::kTruncate);
  file.write(std::as_bytes(std::span(pairs_)));
  file.close();
  pairs_.clear();
}

void PairSorter::merge(std::size_t begin, std::size_t end, const Visit& visit) {
  std::vector<RunReader> readers;
  readers.reserve(end - begin);
  for (std::size_t i = begin; i < end; ++i) readers.emplace_back(runs_[i]);
  struct Head {
    Pair pair;
    std::size_t reader;
  };
  const auto is_later = [](const Head& a, const Head& b) { return a.pair > b.pair; };
  std::vector<Head> heads;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    if (!readers[i].at_end()) heads.push_back({readers[i].pair(), i});
  }
  std::make_heap(heads.begin(), heads.end(), is_later);
  while (!heads.empty()) {
    std::pop_heap(heads.begin(), heads.end(), is_later);
    Head& head = heads.back();
    visit(head.pair);
    RunReader& reader = readers[head.reader];
    reader.advance();
    if (reader.at_end()) {
      heads.pop_back();
    } else {
      head.pair = reader.pair();
      std::push_heap(heads.begin(), heads.end(), is_later);
    }
  }
}

void PairSorter::visit_sorted(const Visit& visit) {
  if (runs_.empty()) {  // all of it fits
    std::sort(pairs_.begin(), pairs_.end());
    for (const Pair& pair : pairs_) visit(pair);
    return;
  }
  spill();
  pairs_ = {};
  // A run's window, and as much again that the system may map around it.
  const std::size_t at_once = static_cast<std::size_t>(
      std::clamp<std::uint64_t>(memory_bytes_ / (2 * kWindowPairs * sizeof(Pair)), 2, 256));
  while (runs_.size() > at_once) {
    const Path merged = next_name();
    runs_.push_back(merged);  // first, so that the destructor knows it
    RunWriter writer(merged);
    merge(0, at_once, [&](const Pair& pair) { writer.add(pair); });
    writer.close();
    for (std::size_t i = 0; i < at_once; ++i) remove_quietly(runs_[i]);
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(at_once));
  }
  merge(0, runs_.size(), visit);
}

}  // namespace ovid::data_tools::duplicates
