#include "data_tools/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "data_tools/interruption.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kReadBytes = 1 << 16;
constexpr std::size_t kMostLineBytes = 256 << 20;

}  // namespace

FileSource::FileSource(const std::string& path, std::atomic<std::uint64_t>* counter,
                       AtSignal at_signal)
    : name_(path == "-" ? "standard input" : path),
      descriptor_(STDIN_FILENO),
      owned_(path != "-"),
      counter_(counter),
      at_signal_(at_signal) {
  if (!owned_) return;
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw DataError(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
  }
}

FileSource::~FileSource() {
  if (owned_) ::close(descriptor_);
}

std::size_t FileSource::read(std::span<char> buffer) {
  // A signal between a check and a read that blocks would be noticed only when bytes come: so wait
  // for them a little while at a time.
  constexpr int kWaitMilliseconds = 100;
  pollfd ready{.fd = descriptor_, .events = POLLIN, .revents = 0};
  for (;;) {
    if (at_signal_ == AtSignal::kInterrupt) check_interruption();
    const int descriptors = ::poll(&ready, 1, kWaitMilliseconds);
    if (descriptors == 0 || (descriptors < 0 && errno == EINTR)) continue;
    const ssize_t count = ::read(descriptor_, buffer.data(), buffer.size());
    if (count >= 0) {
      if (counter_ != nullptr) *counter_ += static_cast<std::uint64_t>(count);
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR && errno != EAGAIN) {
      throw DataError(fmt::format("cannot read {}: {}", name_, std::strerror(errno)));
    }
  }
}

LineReader::LineReader(ByteSource& source, std::string name)
    : source_(source), name_(std::move(name)) {}

std::optional<std::string_view> LineReader::next() {
  std::size_t searched = begin_;
  for (;;) {
    const std::size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      const std::string_view line(buffer_.data() + begin_, end - begin_);
      begin_ = end + 1;
      ++number_;
      return line;
    }
    if (ended_) {
      if (begin_ == buffer_.size()) return std::nullopt;
      const std::string_view line(buffer_.data() + begin_, buffer_.size() - begin_);
      begin_ = buffer_.size();
      ++number_;
      return line;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    if (searched > kMostLineBytes) {
      throw DataError(fmt::format("{}:{}: a line of more than {} bytes; break it into several",
                                  name_, number_ + 1, kMostLineBytes));
    }
    buffer_.resize(searched + kReadBytes);
    const std::size_t count = source_.read(std::span(buffer_).subspan(searched));
    buffer_.resize(searched + count);
    ended_ = count == 0;
  }
}

void write_output(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
      continue;
    }
    const int error = errno;
    if (error == EPIPE) throw OutputClosed{};
    check_interruption();
    if (error != EINTR) {
      throw ResourceError(fmt::format("cannot write standard output: {}", std::strerror(error)));
    }
  }
}

}  // namespace ovid::data_tools
