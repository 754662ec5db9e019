#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ovid::data_tools {

// How far a command is, on standard error: one line that is rewritten on a terminal, else a line
// every ten seconds.
class Progress {
 public:
  Progress();
  ~Progress();  // clears the terminal's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Cheap; call it often.
  void update(std::uint64_t bytes, std::uint64_t documents);
  // "12.3 MB in 4 documents, 25.1 MB/s".
  std::string summary(std::uint64_t bytes, std::uint64_t documents) const;

 private:
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
  bool on_terminal_;
};

}  // namespace ovid::data_tools
