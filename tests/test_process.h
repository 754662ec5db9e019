#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace ovid::test {

struct ProcessResult {
  int exit_code = -1;  // of the program; 128 + signal where a signal ended it
  std::string output;
  std::string errors;
};

// Runs a program to its end, with `input` on its standard input. The environment is this process's
// and `environment`
// ("NAME=value").
ProcessResult run_process(const std::vector<std::string>& command, const std::string& input = "",
                          const std::vector<std::string>& environment = {});

// A program that runs beside the test; killed at the end of the scope where it still does.
class Process {
 public:
  // Standard output and error go to the file `output`.
  Process(const std::vector<std::string>& command, const std::string& output);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number);
  // Waits at most that long; the exit code as in ProcessResult, nothing where it still runs.
  std::optional<int> wait_for(double seconds);
  int wait();

 private:
  pid_t id_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace ovid::test
