#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "data_tools/input_files.h"
#include "data_tools/openwebtext/unit_walker.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools::openwebtext {

// Behind so many items of that unit of that input. A unit is an archive inside an input, or what
// lies between two of them; the count depends on nothing but the inputs' bytes.
struct Place {
  std::uint64_t input = 0;
  std::uint64_t unit = 0;
  std::uint64_t items = 0;
};

class CorpusVisitor {
 public:
  virtual ~CorpusVisitor() = default;
  virtual void take(Item&& item, const Place& behind) = 0;
  // All items of the input were told. `bytes` as they lie, `checksum` XXH3-128 of them.
  virtual void end_input(std::uint64_t input, std::uint64_t bytes, const std::string& checksum) = 0;
};

// Reads the items of all inputs in their order, on the calling thread; archives inside archives,
// and compressed files, are unpacked by other threads of the pool ahead. Memory: an archive of at
// most kMostKept packed bytes is kept until its turn, 64 MiB of them in all, and some MiB of the
// unpacked items of each that is read ahead; a larger one is read as it comes.
class CorpusReader {
 public:
  static constexpr std::size_t kMostKept = 32 << 20;

  // Keeps references. What is read of the files is added to `bytes_read`.
  CorpusReader(const ReadOptions& options, std::span<const InputFile> inputs, WorkPool& pool,
               std::atomic<std::uint64_t>& bytes_read);
  ~CorpusReader();  // stops the pool where walk() did not come to its end
  CorpusReader(const CorpusReader&) = delete;
  CorpusReader& operator=(const CorpusReader&) = delete;

  // Tells of everything behind `from`. Throws what the visitor throws, Interrupted, ResourceError.
  void walk(const Place& from, CorpusVisitor& visitor);

 private:
  class Unit;
  struct Ended;
  struct Aborted;
  void walk_input(std::uint64_t input);
  bool keep_nested(ByteSource& content, const std::string& name, const std::string& file_name,
                   int depth);
  void enqueue(std::shared_ptr<Unit> unit);
  void visit_front();
  void visit_all();
  void deliver(Item&& item, std::uint64_t input, std::uint64_t unit, std::uint64_t& items);
  void tell_end(const Ended& ended);

  const ReadOptions& options_;
  std::span<const InputFile> inputs_;
  WorkPool& pool_;
  std::atomic<std::uint64_t>& bytes_read_;
  CorpusVisitor* visitor_ = nullptr;
  Place from_;
  std::uint64_t input_ = 0;         // that is being walked
  std::uint64_t unit_ = 0;          // the next number in it
  std::uint64_t direct_items_ = 0;  // told in unit_ by this thread's walk
  std::deque<std::shared_ptr<Unit>> waiting_;
  std::size_t waiting_bytes_ = 0;
};

}  // namespace ovid::data_tools::openwebtext
