#pragma once

#include <string>
#include <vector>

namespace ovid::test {

struct ProgramResult {
  int exit_code = -1;  // 128 + the signal where one ended it
  std::string output;
  std::string messages;  // standard error
};

// Runs the built ovid-data with `input` on its standard input, and waits for it.
ProgramResult run_ovid_data(const std::vector<std::string>& arguments,
                            const std::string& input = "");

// Runs any program by its path or name.
ProgramResult run_program(const std::vector<std::string>& command, const std::string& input = "");

// Starts ovid-data with a pipe as its standard input that stays open, sends `signal` after its
// first `sent` bytes were taken, and waits for it.
ProgramResult interrupt_ovid_data(const std::vector<std::string>& arguments,
                                  const std::string& sent, int signal);

}  // namespace ovid::test
