#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "src/core/file.h"

namespace ovid::data_tools::duplicates {

// A file that appears under its name when it is whole and on the disk. Where commit() was not
// reached, the unfinished file goes with the object. Throws ResourceError of the disk.
class ResultFile {
 public:
  explicit ResultFile(Path path);
  ~ResultFile();
  ResultFile(const ResultFile&) = delete;
  ResultFile& operator=(const ResultFile&) = delete;

  void add(std::span<const std::byte> record);
  MappedFile commit();  // once

 private:
  Path path_;
  Path unfinished_;
  std::string buffer_;
  std::optional<OutputFile> file_;
};

// The records of a file that ResultFile wrote in this process: mapped files begin at a page, so
// they are aligned.
template <class Record>
std::span<const Record> records_of(const MappedFile& file) {
  return {reinterpret_cast<const Record*>(file.bytes().data()),
          file.bytes().size() / sizeof(Record)};
}

// The record of the document among records in ascending order of documents; null where none is.
template <class Record>
const Record* find_record(std::span<const Record> records, std::uint64_t document) {
  const auto place = std::lower_bound(
      records.begin(), records.end(), document,
      [](const Record& record, std::uint64_t number) { return record.document < number; });
  return place != records.end() && place->document == document ? &*place : nullptr;
}

}  // namespace ovid::data_tools::duplicates
