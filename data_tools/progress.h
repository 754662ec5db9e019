#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ovid::data_tools {

// How far a command is, on standard error: one line that is rewritten on a terminal, else a line
// every ten seconds. "1234.5 MB in 86 documents, 308.2 M tokens, 95.1 MB/s, 41.2 %, 18 s left".
class Progress {
 public:
  struct Now {
    std::uint64_t bytes = 0;  // of text
    std::uint64_t documents = 0;
    std::int64_t tokens = 0;        // 0: not told
    std::uint64_t input_read = 0;   // bytes as they lie on the disk
    std::uint64_t input_total = 0;  // 0: not known
  };

  // `resumed`: what an earlier process did counts neither for the speed nor for the time left.
  Progress();
  explicit Progress(const Now& resumed);
  ~Progress();  // clears the terminal's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap; call it often.
  void update(const Now& now);
  // The line, without what is left.
  std::string summary(const Now& now) const;

 private:
  double seconds() const;
  std::string time_left(const Now& now) const;

  Now resumed_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
  bool on_terminal_;
};

}  // namespace ovid::data_tools
