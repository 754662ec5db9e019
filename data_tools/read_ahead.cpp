#include "data_tools/read_ahead.h"

#include <deque>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace ovid::data_tools {
namespace {

constexpr std::size_t kChunkBytes = 256 << 10;
constexpr std::size_t kChunkCalls = 4096;
constexpr std::size_t kMostWaitingBytes = 4 << 20;

// Calls of a DocumentVisitor, to be made again later.
struct Chunk {
  enum class Call : std::uint8_t { kBegin, kAdd, kEnd };
  struct Recorded {
    Call call;
    std::size_t length;  // of its name or bytes
  };
  std::string bytes;
  std::vector<Recorded> calls;

  void record(Call call, std::string_view argument) {
    bytes += argument;
    calls.push_back({call, argument.size()});
  }
  bool is_full() const { return bytes.size() >= kChunkBytes || calls.size() >= kChunkCalls; }

  void replay(DocumentVisitor& visitor) const {
    std::string_view rest = bytes;
    for (const Recorded& recorded : calls) {
      const std::string_view argument = rest.substr(0, recorded.length);
      rest.remove_prefix(recorded.length);
      if (recorded.call == Call::kBegin) visitor.begin_document(std::string(argument));
      if (recorded.call == Call::kAdd) visitor.add(argument);
      if (recorded.call == Call::kEnd) visitor.end_document();
    }
  }
};

}  // namespace

// One file's documents on their way from the thread that reads it to the one that visits.
class ReadAhead::File : public DocumentVisitor {
 public:
  explicit File(WorkPool& pool) : pool_(pool) {}

  // True for the first who asks: it walks the file.
  bool claim() {
    bool mine = false;
    pool_.update([&] { mine = !std::exchange(claimed_, true); });
    return mine;
  }

  // On the thread that reads.
  void walk(const WalkFile& walk_file, std::size_t number) {
    std::exception_ptr failure;
    WalkCounts counts;
    try {
      counts = walk_file(number, *this);
      hand_over();
    } catch (const WorkPool::Stopped&) {
    } catch (...) {
      failure = std::current_exception();
    }
    pool_.update([&] {
      counts_ = std::move(counts);
      failure_ = failure;
      ended_ = true;
    });
  }
  void begin_document(const std::string& name) override { record(Chunk::Call::kBegin, name); }
  void add(std::string_view bytes) override { record(Chunk::Call::kAdd, bytes); }
  void end_document() override { record(Chunk::Call::kEnd, {}); }

  // On the thread that visits.
  WalkCounts replay(DocumentVisitor& visitor) {
    for (;;) {
      pool_.wait_until([&] { return !chunks_.empty() || ended_; });
      Chunk chunk;
      bool end = false;
      pool_.update([&] {
        end = chunks_.empty();
        if (end) return;
        chunk = std::move(chunks_.front());
        chunks_.pop_front();
        waiting_bytes_ -= chunk.bytes.size();
      });
      if (end) break;
      chunk.replay(visitor);
    }
    // Documents before the failure were visited, as if the file had been walked here.
    if (failure_) std::rethrow_exception(failure_);
    return counts_;
  }

 private:
  void record(Chunk::Call call, std::string_view argument) {
    filling_.record(call, argument);
    if (filling_.is_full()) hand_over();
  }

  void hand_over() {
    pool_.wait_until([&] { return waiting_bytes_ < kMostWaitingBytes; });
    pool_.update([&] {
      waiting_bytes_ += filling_.bytes.size();
      chunks_.push_back(std::move(filling_));
    });
    filling_ = {};
  }

  WorkPool& pool_;
  Chunk filling_;  // of the thread that reads
  // Under the pool's lock:
  bool claimed_ = false;
  bool ended_ = false;
  std::deque<Chunk> chunks_;
  std::size_t waiting_bytes_ = 0;
  WalkCounts counts_;
  std::exception_ptr failure_;
};

ReadAhead::ReadAhead(WalkFile walk_file, std::size_t files, WorkPool& pool)
    : walk_file_(std::move(walk_file)), files_(files), pool_(pool) {}

ReadAhead::~ReadAhead() {
  if (!ahead_.empty()) pool_.stop();
}

void ReadAhead::begin_next(std::size_t number) {
  for (std::size_t next = number + 1; next < files_ && next < number + pool_.threads(); ++next) {
    const auto [place, is_new] = ahead_.try_emplace(next);
    if (!is_new) continue;
    place->second = std::make_shared<File>(pool_);
    // A task that comes late finds its file claimed, and then does not touch this object.
    pool_.submit_background([this, next, file = place->second] {
      if (file->claim()) file->walk(walk_file_, next);
    });
  }
}

WalkCounts ReadAhead::visit(std::size_t number, DocumentVisitor& visitor) {
  begin_next(number);
  const auto file = ahead_.find(number);
  if (file == ahead_.end()) return walk_file_(number, visitor);
  const WalkCounts counts =
      file->second->claim() ? walk_file_(number, visitor) : file->second->replay(visitor);
  ahead_.erase(file);
  return counts;
}

}  // namespace ovid::data_tools
