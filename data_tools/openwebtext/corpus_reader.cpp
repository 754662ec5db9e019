#include "data_tools/openwebtext/corpus_reader.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "data_tools/archive.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::data_tools::openwebtext {
namespace {

constexpr std::size_t kMostWaitingUnits = 64;
constexpr std::size_t kMostWaitingBytes = 64 << 20;
constexpr std::size_t kMostUnpackedBytes = 4 << 20;  // of one unit that is read ahead
constexpr std::size_t kChunkBytes = 256 << 10;

class HashingSource : public ByteSource {
 public:
  explicit HashingSource(ByteSource& source) : source_(source) {}
  std::size_t read(std::span<char> buffer) override {
    const std::size_t count = source_.read(buffer);
    checksum_.update(std::as_bytes(buffer.first(count)));
    bytes_ += count;
    return count;
  }
  bool count_unpacked(std::uint64_t bytes) override { return source_.count_unpacked(bytes); }

  void read_to_end() {
    std::vector<char> buffer(1 << 16);
    while (read(buffer) > 0) {
    }
  }
  std::uint64_t bytes() const { return bytes_; }
  std::string digest() const { return checksum_.digest(); }

 private:
  ByteSource& source_;
  Checksum checksum_;
  std::uint64_t bytes_ = 0;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : rest_(bytes) {}
  std::size_t read(std::span<char> buffer) override {
    const std::size_t count = rest_.copy(buffer.data(), buffer.size());
    rest_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view rest_;
};

// Bytes that were read already, and what follows them.
class ContinuedSource : public ByteSource {
 public:
  ContinuedSource(std::string_view head, ByteSource& rest) : head_(head), rest_(rest) {}
  std::size_t read(std::span<char> buffer) override {
    const std::size_t count = head_.read(buffer);
    return count > 0 || buffer.empty() ? count : rest_.read(buffer);
  }
  bool count_unpacked(std::uint64_t bytes) override { return rest_.count_unpacked(bytes); }

 private:
  MemorySource head_;
  ByteSource& rest_;
};

std::string name_for_messages(const std::string& path) {
  return path == "-" ? "standard input" : path;
}

std::string name_for_format(const std::string& path) {
  return path == "-" ? "" : path;
}

// Whether the input is likely to hold many files, whose archives other threads unpack.
bool is_tree_name(const std::string& path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  return name.find(".tar") != std::string::npos || name.ends_with(".zip") ||
         name.ends_with(".tgz") || name.ends_with(".txz") || name.ends_with(".tbz") ||
         name.ends_with(".tbz2") || name.ends_with(".tzst");
}

void walk_telling_damage(UnitWalker& walker, const ItemSink& sink, ByteSource& source,
                         const std::string& name, const std::string& file_name, int depth) {
  try {
    walker.walk(source, name, file_name, depth);
  } catch (const DataError& error) {
    sink({.found = Found::kDamaged, .name = name, .url = {}, .text = error.what()});
  }
}

}  // namespace

struct CorpusReader::Ended {
  std::uint64_t input;
  std::uint64_t bytes;
  std::string checksum;
};

// Carries what the visitor threw past those who read on after a DataError.
struct CorpusReader::Aborted {
  std::exception_ptr failure;
};

// A part of the corpus that one thread reads, on its way to the thread that visits.
class CorpusReader::Unit {
 public:
  Unit(const ReadOptions& options, WorkPool& pool, std::uint64_t input, std::uint64_t number)
      : options_(options), pool_(pool), input_(input), number_(number) {}

  // What it reads: packed bytes, or a file of its own.
  void keep(std::string bytes, const std::string& name, const std::string& file_name, int depth) {
    bytes_ = std::move(bytes);
    name_ = name;
    file_name_ = file_name;
    depth_ = depth;
  }
  void open(const std::string& path, std::atomic<std::uint64_t>& bytes_read) {
    path_ = path;
    bytes_read_ = &bytes_read;
  }
  // Nothing to read: an input ends here.
  void end_with(Ended ended) {
    ended_input_ = std::move(ended);
    claimed_ = finished_ = true;
  }

  std::uint64_t input() const { return input_; }
  std::uint64_t number() const { return number_; }
  std::size_t kept_bytes() const { return kept_; }
  void note_size() { kept_ = bytes_.size(); }
  const std::optional<Ended>& ended_input() const { return ended_input_; }

  bool claim() {
    bool mine = false;
    pool_.update([&] { mine = !std::exchange(claimed_, true); });
    return mine;
  }

  // On the thread that visits, where nobody has claimed it.
  void read(const ItemSink& sink) {
    UnitWalker walker(options_, sink);
    if (path_.empty()) {
      MemorySource source(bytes_);
      walk_telling_damage(walker, sink, source, name_, file_name_, depth_);
      bytes_ = {};
      return;
    }
    FileSource file(path_, bytes_read_);
    HashingSource source(file);
    walk_telling_damage(walker, sink, source, name_for_messages(path_), name_for_format(path_), 0);
    source.read_to_end();
    ended_input_ = Ended{input_, source.bytes(), source.digest()};
  }

  // On another thread.
  void read_ahead() {
    std::exception_ptr failure;
    try {
      read([this](Item&& item) { record(std::move(item)); });
      hand_over();
    } catch (const WorkPool::Stopped&) {
    } catch (...) {
      failure = std::current_exception();
    }
    pool_.update([&] {
      failure_ = failure;
      finished_ = true;
    });
  }

  void replay(const ItemSink& sink) {
    for (;;) {
      pool_.wait_until([&] { return !chunks_.empty() || finished_; });
      Chunk chunk;
      bool end = false;
      pool_.update([&] {
        end = chunks_.empty();
        if (end) return;
        chunk = std::move(chunks_.front());
        chunks_.pop_front();
        unpacked_bytes_ -= chunk.bytes;
      });
      if (end) break;
      for (Item& item : chunk.items) sink(std::move(item));
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  struct Chunk {
    std::vector<Item> items;
    std::size_t bytes = 0;
  };

  void record(Item&& item) {
    constexpr std::size_t kItemBytes = 256;  // with its name
    filling_.bytes += item.text.size() + kItemBytes;
    filling_.items.push_back(std::move(item));
    if (filling_.bytes >= kChunkBytes) hand_over();
  }

  void hand_over() {
    pool_.wait_until([&] { return unpacked_bytes_ < kMostUnpackedBytes; });
    pool_.update([&] {
      unpacked_bytes_ += filling_.bytes;
      chunks_.push_back(std::exchange(filling_, {}));
    });
  }

  const ReadOptions& options_;
  WorkPool& pool_;
  std::uint64_t input_;
  std::uint64_t number_;
  std::string bytes_;
  std::string name_;
  std::string file_name_;
  int depth_ = 0;
  std::string path_;
  std::atomic<std::uint64_t>* bytes_read_ = nullptr;
  std::size_t kept_ = 0;
  std::optional<Ended> ended_input_;
  Chunk filling_;  // of the thread that reads
  // Under the pool's lock:
  bool claimed_ = false;
  bool finished_ = false;
  std::deque<Chunk> chunks_;
  std::size_t unpacked_bytes_ = 0;
  std::exception_ptr failure_;
};

CorpusReader::CorpusReader(const ReadOptions& options, std::span<const InputFile> inputs,
                           WorkPool& pool, std::atomic<std::uint64_t>& bytes_read)
    : options_(options), inputs_(inputs), pool_(pool), bytes_read_(bytes_read) {}

CorpusReader::~CorpusReader() {
  if (!waiting_.empty()) pool_.stop();
}

void CorpusReader::walk(const Place& from, CorpusVisitor& visitor) {
  visitor_ = &visitor;
  from_ = from;
  try {
    for (std::uint64_t input = from.input; input < inputs_.size(); ++input) walk_input(input);
    visit_all();
  } catch (const Aborted& aborted) {
    std::rethrow_exception(aborted.failure);
  }
}

void CorpusReader::walk_input(std::uint64_t input) {
  input_ = input;
  unit_ = direct_items_ = 0;
  const std::string& path = inputs_[input].path;
  if (path != "-" && !is_tree_name(path)) {
    auto unit = std::make_shared<Unit>(options_, pool_, input, 0);
    unit->open(path, bytes_read_);
    enqueue(std::move(unit));
    return;
  }
  if (path == "-") visit_all();  // a pipe may make us wait, and what came before must not
  FileSource file(path, &bytes_read_);
  HashingSource source(file);
  const ItemSink sink = [this](Item&& item) {
    visit_all();
    deliver(std::move(item), input_, unit_, direct_items_);
  };
  UnitWalker walker(
      options_, sink,
      [this](ByteSource& content, const std::string& name, const std::string& file_name,
             int depth) { return keep_nested(content, name, file_name, depth); });
  walk_telling_damage(walker, sink, source, name_for_messages(path), name_for_format(path), 0);
  source.read_to_end();
  auto end = std::make_shared<Unit>(options_, pool_, input, unit_);
  end->end_with({input, source.bytes(), source.digest()});
  enqueue(std::move(end));
}

bool CorpusReader::keep_nested(ByteSource& content, const std::string& name,
                               const std::string& file_name, int depth) {
  std::string bytes;
  constexpr std::size_t kStep = 1 << 18;
  while (bytes.size() <= kMostKept) {
    const std::size_t before = bytes.size();
    bytes.resize(before + kStep);
    const std::size_t count = content.read({bytes.data() + before, kStep});
    bytes.resize(before + count);
    if (count == 0) break;
  }
  if (bytes.size() > kMostKept) {
    ContinuedSource continued(bytes, content);
    const ItemSink sink = [this](Item&& item) {
      visit_all();
      deliver(std::move(item), input_, unit_, direct_items_);
    };
    UnitWalker(options_, sink).walk(continued, name, file_name, depth);
    return true;
  }
  if (std::exchange(direct_items_, 0) > 0) ++unit_;
  const std::uint64_t number = unit_++;
  // Of an earlier run: what was read there is not even unpacked.
  if (input_ == from_.input && number < from_.unit) return true;
  bytes.shrink_to_fit();
  auto unit = std::make_shared<Unit>(options_, pool_, input_, number);
  unit->keep(std::move(bytes), name, file_name, depth);
  enqueue(std::move(unit));
  return true;
}

void CorpusReader::enqueue(std::shared_ptr<Unit> unit) {
  unit->note_size();
  waiting_bytes_ += unit->kept_bytes();
  waiting_.push_back(unit);
  pool_.submit_background([unit] {
    if (unit->claim()) unit->read_ahead();
  });
  const std::size_t most = std::min(kMostWaitingUnits, 2 * pool_.threads());
  while (waiting_.size() > most || (waiting_bytes_ > kMostWaitingBytes && waiting_.size() > 1)) {
    visit_front();
  }
}

void CorpusReader::visit_front() {
  Unit& unit = *waiting_.front();
  std::uint64_t items = 0;
  const ItemSink sink = [&](Item&& item) {
    deliver(std::move(item), unit.input(), unit.number(), items);
  };
  if (unit.claim()) {
    unit.read(sink);
  } else {
    unit.replay(sink);
  }
  if (unit.ended_input()) tell_end(*unit.ended_input());
  waiting_bytes_ -= unit.kept_bytes();
  waiting_.pop_front();
}

void CorpusReader::visit_all() {
  while (!waiting_.empty()) visit_front();
}

void CorpusReader::deliver(Item&& item, std::uint64_t input, std::uint64_t unit,
                           std::uint64_t& items) {
  ++items;
  if (input == from_.input && (unit < from_.unit || (unit == from_.unit && items <= from_.items))) {
    return;
  }
  try {
    visitor_->take(std::move(item), {.input = input, .unit = unit, .items = items});
  } catch (...) {
    throw Aborted{std::current_exception()};
  }
}

void CorpusReader::tell_end(const Ended& ended) {
  try {
    visitor_->end_input(ended.input, ended.bytes, ended.checksum);
  } catch (...) {
    throw Aborted{std::current_exception()};
  }
}

}  // namespace ovid::data_tools::openwebtext
