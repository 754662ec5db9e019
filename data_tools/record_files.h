#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data_tools/byte_source.h"
#include "data_tools/input_files.h"

// Files of records: tables, JSON, lines of dialogues; plain, compressed or in archives.
namespace ovid::data_tools {

// A source whose first bytes can be looked at before they are read. A UTF-8 byte order mark is
// passed over.
class PeekedSource : public ByteSource {
 public:
  explicit PeekedSource(ByteSource& source);  // kept by reference
  std::size_t read(std::span<char> buffer) override;
  // The first byte that is no white space, of the first 4 KiB; 0 where there is none.
  char first_character() const;

 private:
  ByteSource& source_;
  std::string head_;
  std::size_t taken_ = 0;
};

// Calls visit(name, content) for each file, or member of an archive or compressed file. `name` is
// for messages ("reviews.zip: a.json"), `file_name` the innermost name, without folders and without
// the ending of a compression. Archives in archives are followed four deep. What is read of the
// files as they lie is added to `bytes_read`. Throws DataError for what cannot be read, Interrupted
// at a signal.
using RecordFileVisitor = std::function<void(const std::string& name, const std::string& file_name,
                                             PeekedSource& content)>;
void for_each_record_file(const std::vector<InputFile>& files,
                          std::atomic<std::uint64_t>& bytes_read, const RecordFileVisitor& visit);

struct JsonRecord {
  std::string_view text;  // from { to }, valid during the call
  std::string_view key;   // of the outermost object that it lies in; empty in an array
  std::int64_t line = 0;  // where it begins
};

// Calls visit for each object that lies `depth` brackets deep in one JSON value, while reading: 1
// for [{...}, ...], 2 for {"train": [{...}, ...], ...}. Only brackets and strings are looked at;
// the visitor checks the rest. Throws DataError where the value is cut, brackets are deeper than 64
// or do not match, or an object is larger than 64 MiB.
void for_each_json_record(ByteSource& source, const std::string& name, std::size_t depth,
                          const std::function<void(const JsonRecord&)>& visit);

}  // namespace ovid::data_tools
