#include "data_tools/duplicates/record_file.h"

#include <fmt/format.h>

#include <cassert>
#include <system_error>

#include "src/core/checked_arithmetic.h"
#include "src/core/error.h"

namespace ovid::data_tools::duplicates {

namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

void cut(const Path& path, std::size_t record_bytes, std::uint64_t records) {
  const auto bytes = checked_multiply(record_bytes, records);
  const std::uint64_t present = std::filesystem::exists(path) ? size_of_file(path) : 0;
  if (!bytes || *bytes > present) {
    throw DataError(
        fmt::format("{} holds {} documents where {} are needed to go on; delete the folder and "
                    "begin anew",
                    path.string(), present / record_bytes, records));
  }
  std::error_code error;
  std::filesystem::resize_file(path, *bytes, error);
  if (error) {
    throw ResourceError(
        fmt::format("{}: cannot cut it to {} bytes: {}", path.string(), *bytes, error.message()));
  }
}

}  // namespace

RecordFile::RecordFile(Path path, std::size_t record_bytes, std::uint64_t records)
    : path_(std::move(path)), record_bytes_(record_bytes), count_(records) {
  if (records == 0) {
    make_directories(path_.parent_path());
    file_.emplace(path_, WriteMode::kTruncate);
  } else {
    cut(path_, record_bytes_, records);
    file_.emplace(path_, WriteMode::kAppend);
  }
  buffer_.reserve(kBufferBytes + record_bytes_);
}

void RecordFile::add(std::span<const std::byte> record) {
  assert(record.size() == record_bytes_);
  buffer_.append(reinterpret_cast<const char*>(record.data()), record.size());
  ++count_;
  if (buffer_.size() >= kBufferBytes) flush();
}

void RecordFile::flush() {
  file_->write(buffer_);
  buffer_.clear();
}

void RecordFile::sync() {
  flush();
  file_->sync();
}

}  // namespace ovid::data_tools::duplicates
