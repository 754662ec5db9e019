#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>

#include "data_tools/documents.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools {

// Walks files in order, while other threads of a pool walk the next ones ahead: that is what lets
// several compressed files be unpacked at the same time. Each file that is walked ahead keeps at
// most some MiB of its documents (or one document of JSON, where that is larger) until its turn.
class ReadAhead {
 public:
  // Walks the file of that number; called on any thread, for several numbers at the same time.
  using WalkFile = std::function<WalkCounts(std::size_t number, DocumentVisitor& visitor)>;
  ReadAhead(WalkFile walk_file, std::size_t files, WorkPool& pool);
  ~ReadAhead();  // stops the pool where a file was begun and not visited to its end
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Tells `visitor` of the documents of the file of that number, on the calling thread. Numbers
  // rise from call to call. Throws what walking the file threw.
  WalkCounts visit(std::size_t number, DocumentVisitor& visitor);

 private:
  class File;
  void begin_next(std::size_t number);

  WalkFile walk_file_;
  std::size_t files_;
  WorkPool& pool_;
  // Shared, because the pool may drop the task of a file only after the file was visited.
  std::map<std::size_t, std::shared_ptr<File>> ahead_;
};

}  // namespace ovid::data_tools
