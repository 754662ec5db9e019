#include "data_tools/record_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "data_tools/archive.h"
#include "data_tools/interruption.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr int kMostArchives = 4;
constexpr std::size_t kHeadBytes = 4096;
constexpr std::size_t kReadBytes = 1 << 16;

std::string last_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

void visit_file(ByteSource& source, const std::string& name, const std::string& file_name,
                int depth, const RecordFileVisitor& visit) {
  check_interruption();
  if (!is_archive_name(file_name)) {
    PeekedSource content(source);
    visit(name, last_name(file_name), content);
    return;
  }
  if (depth == kMostArchives) {
    throw DataError(fmt::format("{}: archives inside archives, more than {} deep; unpack them",
                                name, kMostArchives));
  }
  for_each_member(source, name, [&](const std::string& member, ByteSource& content) {
    visit_file(content, fmt::format("{}: {}", name, member), member, depth + 1, visit);
  });
}

// The brackets and strings of one JSON value, byte by byte.
class JsonSplitter {
 public:
  JsonSplitter(const std::string& name, std::size_t depth,
               const std::function<void(const JsonRecord&)>& visit)
      : name_(name), depth_(depth), visit_(visit) {}

  void add(char c) {
    if (recording_) record_.push_back(c);
    if (record_.size() > kLargestRecord) fail("an object of more than 64 MiB");
    if (c == '\n') ++line_;
    if (in_string_) {
      add_to_string(c);
    } else if (c == '"') {
      in_string_ = true;
      key_in_progress_.clear();
    } else if (c == '{' || c == '[') {
      open(c);
    } else if (c == '}' || c == ']') {
      close(c);
    } else if (brackets_.empty() && static_cast<unsigned char>(c) > ' ') {
      fail("text outside the one JSON value");
    }
  }

  void finish() const {
    if (in_string_ || !brackets_.empty()) fail("the JSON is cut: it ends inside a value");
  }

 private:
  static constexpr std::size_t kDeepest = 64;
  static constexpr std::size_t kLongestKey = 64;
  static constexpr std::size_t kLargestRecord = 64 << 20;

  [[noreturn]] void fail(std::string_view reason) const {
    throw DataError(fmt::format("{}:{}: {}", name_, line_, reason));
  }

  void add_to_string(char c) {
    const bool is_key = brackets_.size() == 1 && !escaped_ && key_in_progress_.size() < kLongestKey;
    if (is_key && c != '"') key_in_progress_.push_back(c);
    if (c == '"' && !escaped_) {
      in_string_ = false;
      if (brackets_.size() == 1) key_ = key_in_progress_;
    }
    escaped_ = c == '\\' && !escaped_;
  }

  void open(char c) {
    if (brackets_.size() == kDeepest) fail("brackets more than 64 deep");
    if (c == '{' && brackets_.size() == depth_) {
      recording_ = true;
      record_.assign(1, c);
      first_line_ = line_;
    }
    brackets_.push_back(c);
  }

  void close(char c) {
    if (brackets_.empty() || brackets_.back() != (c == '}' ? '{' : '[')) {
      fail(fmt::format("a {} that closes nothing", c));
    }
    brackets_.pop_back();
    if (!recording_ || brackets_.size() != depth_) return;
    recording_ = false;
    visit_({.text = record_, .key = key_, .line = first_line_});
    record_.clear();
  }

  const std::string& name_;
  std::size_t depth_;
  const std::function<void(const JsonRecord&)>& visit_;
  std::string brackets_;
  std::string record_;
  std::string key_;
  std::string key_in_progress_;
  std::int64_t line_ = 1;
  std::int64_t first_line_ = 1;
  bool recording_ = false;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace

PeekedSource::PeekedSource(ByteSource& source) : source_(source), head_(kHeadBytes, '\0') {
  std::size_t filled = 0;
  while (filled < head_.size()) {
    const std::size_t count = source_.read({head_.data() + filled, head_.size() - filled});
    if (count == 0) break;
    filled += count;
  }
  head_.resize(filled);
  if (head_.starts_with("\xEF\xBB\xBF")) taken_ = 3;
}

std::size_t PeekedSource::read(std::span<char> buffer) {
  if (taken_ == head_.size()) return source_.read(buffer);
  const std::size_t count = std::min(buffer.size(), head_.size() - taken_);
  std::memcpy(buffer.data(), head_.data() + taken_, count);
  taken_ += count;
  return count;
}

char PeekedSource::first_character() const {
  const std::size_t found = head_.find_first_not_of(" \t\r\n", taken_);
  return found == std::string::npos ? '\0' : head_[found];
}

void for_each_record_file(const std::vector<InputFile>& files,
                          std::atomic<std::uint64_t>& bytes_read, const RecordFileVisitor& visit) {
  for (const InputFile& file : files) {
    FileSource source(file.path, &bytes_read);
    const bool standard_input = file.path == "-";
    visit_file(source, standard_input ? "standard input" : file.path,
               standard_input ? "standard input" : file.path, 0, visit);
  }
}

void for_each_json_record(ByteSource& source, const std::string& name, std::size_t depth,
                          const std::function<void(const JsonRecord&)>& visit) {
  JsonSplitter splitter(name, depth, visit);
  std::vector<char> buffer(kReadBytes);
  while (const std::size_t count = source.read(buffer)) {
    check_interruption();
    for (const char c : std::string_view(buffer.data(), count)) splitter.add(c);
  }
  splitter.finish();
}

}  // namespace ovid::data_tools
