#include "data_tools/duplicates/result_file.h"

#include <system_error>

namespace ovid::data_tools::duplicates {

namespace {

constexpr std::size_t kBufferBytes = 64 << 10;

}  // namespace

ResultFile::ResultFile(Path path) : path_(std::move(path)) {
  unfinished_ = path_.parent_path() / (".tmp-" + path_.filename().string());
  file_.emplace(unfinished_, WriteMode::kTruncate);
}

ResultFile::~ResultFile() {
  if (!file_) return;
  std::error_code ignored;
  std::filesystem::remove(unfinished_, ignored);
}

void ResultFile::add(std::span<const std::byte> record) {
  buffer_.append(reinterpret_cast<const char*>(record.data()), record.size());
  if (buffer_.size() < kBufferBytes) return;
  file_->write(buffer_);
  buffer_.clear();
}

MappedFile ResultFile::commit() {
  file_->write(buffer_);
  file_->sync();
  file_->close();
  rename_durably(unfinished_, path_);
  file_.reset();
  return MappedFile(path_);
}

}  // namespace ovid::data_tools::duplicates
