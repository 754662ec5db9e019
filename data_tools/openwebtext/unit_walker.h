#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "data_tools/byte_source.h"
#include "data_tools/documents.h"

namespace ovid::data_tools::openwebtext {

// What a place of the input holds: a document, or something that is left out, and why.
enum class Found : std::uint8_t {
  kDocument,
  kUnsafeName,  // a member whose name is absolute or climbs out with ..
  kNotAFile,    // a link, a device, a pipe in an archive
  kBadRecord,   // JSON that is broken or has no text
  kTooLarge,    // a document beyond the limit
  kBinary,      // bytes that are no text
  kDamaged,     // an archive that ends early, is damaged, or expands like a bomb
};
inline constexpr std::size_t kFoundKinds = 7;
// As in the passport: "unsafe_name".
const char* name_of(Found found);

struct Item {
  Found found = Found::kDocument;
  std::string name;  // file, member, line: "a.tar.xz: b.xz: c.txt", "d.jsonl:12"
  std::string url;   // where the record tells it
  std::string text;  // of a document; else what is wrong
};
using ItemSink = std::function<void(Item&&)>;

struct ReadOptions {
  std::string field;  // of JSON records; empty: text, content or raw_content
  InputFormat format = InputFormat::kByName;
  std::uint64_t most_document_bytes = 16 << 20;
};

inline constexpr int kMostNesting = 4;

// Is given an archive inside an archive; returns whether it took care of it.
using NestedArchive = std::function<bool(ByteSource& content, const std::string& name,
                                         const std::string& file_name, int depth)>;

// Tells `sink` of everything in a stream, in its order: an archive's members (archives in them too,
// four deep), a text as one document, JSON lines or an array of JSON objects as one document each.
// `name` is for messages, `file_name` says by its ending what the bytes are. Nothing is written
// anywhere, whatever the members' names are. What cannot be read is told as an item of its kind,
// and the rest is read on. Memory: one document or line at a time. Throws what the sink throws,
// Interrupted at a signal, ResourceError of the disk.
class UnitWalker {
 public:
  UnitWalker(const ReadOptions& options, ItemSink sink, NestedArchive nested = {});
  ~UnitWalker();
  void walk(ByteSource& source, const std::string& name, const std::string& file_name, int depth);

 private:
  struct Json;
  void tell(Found found, const std::string& name, std::string what);
  void walk_archive(ByteSource& source, const std::string& name, int depth);
  void walk_text(ByteSource& source, const std::string& name);
  void walk_records(ByteSource& source, const std::string& name);
  void take_record(std::string_view json, const std::string& name);

  const ReadOptions& options_;
  ItemSink sink_;
  NestedArchive nested_;
  std::unique_ptr<Json> json_;
};

}  // namespace ovid::data_tools::openwebtext
