#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ovid::data_tools {

enum class InputFormat { kByName, kText, kJsonLines };

struct InputOptions {
  std::vector<std::string> inputs;  // files, folders, "-" for standard input
  std::string field = "text";       // of each JSON line
  InputFormat format = InputFormat::kByName;
  bool skip_missing_field = false;  // pass over JSON lines without the field
  bool repair_utf8 = true;  // JSON lines that are not UTF-8: replace bad bytes instead of failing
};

// What a walk over the inputs tells of: one begin, any number of adds, one end for each document.
class DocumentVisitor {
 public:
  virtual ~DocumentVisitor() = default;
  // `name` is for messages: "corpus.tar.xz: a.txt", "reviews.jsonl:12".
  virtual void begin_document(const std::string& name) = 0;
  virtual void add(std::string_view bytes) = 0;
  virtual void end_document() = 0;
};

struct WalkCounts {
  std::uint64_t files = 0;                // plain files and members of archives
  std::uint64_t lines_without_field = 0;  // passed over
  std::uint64_t replaced_in_lines = 0;    // bad UTF-8 in JSON lines
};

// Visits every document: each plain file and archive member is one, each line of a .jsonl or
// .ndjson file is one. Folders are walked in the order of their sorted paths, without names that
// begin with a dot. Archives are read as they lie, also inside each other (four deep). Memory does
// not grow with the size of a file. Throws DataError that names the file, and the line of JSON, for
// what cannot be read: an absent file, a damaged archive, compressed or binary bytes under another
// name, a JSON line that is no object or has no such field.
WalkCounts walk_documents(const InputOptions& options, DocumentVisitor& visitor);

}  // namespace ovid::data_tools
