#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/input_files.h"
#include "data_tools/work_pool.h"

namespace ovid::data_tools {

enum class InputFormat { kByName, kText, kJsonLines };

struct InputOptions {
  std::vector<std::string> inputs;  // files, folders, "-" for standard input
  std::string field = "text";       // of each JSON line
  InputFormat format = InputFormat::kByName;
  bool skip_missing_field = false;  // pass over JSON lines without the field
  bool repair_utf8 = true;  // JSON lines that are not UTF-8: replace bad bytes instead of failing
  bool skip_bad_lines = false;          // pass over what is no JSON object with that text
  std::uint64_t most_bad_lines = 1000;  // of all inputs; more end the command all the same
};

struct WalkCounts {
  std::uint64_t files = 0;                // plain files and members of archives
  std::uint64_t lines_without_field = 0;  // passed over
  std::uint64_t replaced_in_lines = 0;    // bad UTF-8 in JSON lines
  std::uint64_t bad_lines = 0;            // passed over
  std::string first_bad_line;             // what was wrong with it, and where

  WalkCounts& operator+=(const WalkCounts& other);
};

// Throws DataError where more bad lines were passed over than the options allow.
void check_bad_lines(const InputOptions& options, const WalkCounts& counts);

// What the first bytes of a file say that it is instead of text, with the cure ("an image"); null
// where they say nothing.
const char* known_binary(std::string_view head);

// What a walk over the inputs tells of: a begin_input for each file, in it for each document one
// begin, any number of adds, one end.
class DocumentVisitor {
 public:
  virtual ~DocumentVisitor() = default;
  // The file of that number begins; `before` counts what the walk passed in the files before it.
  virtual void begin_input(std::uint64_t /*number*/, const WalkCounts& /*before*/) {}
  // `name` is for messages: "corpus.tar.xz: a.txt", "reviews.jsonl:12".
  virtual void begin_document(const std::string& name) = 0;
  virtual void add(std::string_view bytes) = 0;
  virtual void end_document() = 0;
};

struct Walk {
  const InputOptions& options;
  std::span<const InputFile> files;
  std::uint64_t first = 0;                           // number of the file to begin with
  WalkCounts counts_before;                          // of the files before it
  std::atomic<std::uint64_t>* bytes_read = nullptr;  // counts along, of the files as they lie
};

// Visits every document: each plain file and archive member is one, each line of a .jsonl or
// .ndjson file is one. Archives are read as they lie, also inside each other (four deep). Memory
// does not grow with the size of a file. The visitor is called on this thread, in the order of the
// files; other threads of the pool read and unpack some files ahead. Throws DataError that names
// the file, and the line of JSON, for what cannot be read: an absent file, a damaged archive,
// compressed or binary bytes under another name, a JSON line that is no object or has no such
// field.
WalkCounts walk_documents(const Walk& walk, WorkPool& pool, DocumentVisitor& visitor);

// The same for all files of options.inputs, on this thread alone.
WalkCounts walk_documents(const InputOptions& options, DocumentVisitor& visitor);

}  // namespace ovid::data_tools
