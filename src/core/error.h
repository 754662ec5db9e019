#pragma once

#include <stdexcept>
#include <string>

namespace ovid {

// What a program's exit code tells a script. README.md documents them for users.
enum class ExitCode : int {
  kDone = 0,
  kBug = 1,               // a defect of Ovid
  kUsage = 2,             // command line or config
  kData = 3,              // token shards, texts, tokenizer files
  kNoCheckpoint = 4,      // a model or checkpoint was asked for and none is valid
  kDiverged = 5,          // loss or gradients are not finite
  kResources = 6,         // disk, memory, port, permission
  kStoppedAndSaved = 75,  // a signal stopped the run after it saved: the same command continues
  kDoNotRequeue = 93,     // restarting would fail again
};

// An error that a user, a file or a machine caused. The message holds the value, the limit and the
// cure, and is printed as it is; the exit code says of which kind it is. Bugs are asserted instead,
// and end with ExitCode::kBug.
class Error : public std::runtime_error {
 public:
  Error(ExitCode exit_code, const std::string& message)
      : std::runtime_error(message), exit_code_(exit_code) {}
  ExitCode exit_code() const { return exit_code_; }

 private:
  ExitCode exit_code_;
};

struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(ExitCode::kData, message) {}
};
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(ExitCode::kNoCheckpoint, message) {}
};
struct DivergedError : Error {
  explicit DivergedError(const std::string& message) : Error(ExitCode::kDiverged, message) {}
};
struct ResourceError : Error {
  explicit ResourceError(const std::string& message) : Error(ExitCode::kResources, message) {}
};

}  // namespace ovid
