#pragma once
// The commands of ptx-emulator. Each takes the words behind its name and returns the exit status.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx_emulator::tool {

// A mistake on the command line; the message names the word and what is allowed.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Statuses of our own, beside those of the program that runs.
inline constexpr int kDifference = 1;  // compare found one, list found something unsupported
inline constexpr int kUsage =
    2;  // a mistake on the command line, or a program that cannot be emulated
inline constexpr int kReported = 3;  // the program ended with 0, but the checks reported something
inline constexpr int kNotEmulated =
    4;  // the program ended with 0, but never loaded the emulated runtime
inline constexpr int kNotFound = 127;   // as the shell's
inline constexpr int kSignalled = 128;  // plus the signal's number

using Words = std::vector<std::string>;
int run(const Words& words);
int list(const Words& words);
int extract(const Words& words);
int compare(const Words& words);
int opcodes(const Words& words);

// Reads a whole file. Throws UsageError where it cannot be read.
std::string read_file(const std::string& path);
// The function's name as in the source, cut off where it is long; itself where it is not mangled.
std::string demangled(const std::string& name);
// "h100" to 90. Throws UsageError.
std::uint32_t architecture_of_device(const std::string& name);

// Takes options from the front of `words` and then operands.
class Options {
 public:
  explicit Options(const Words& words) : words_(words) {}
  // Takes the next word if it is an option of this name without value ("--eager").
  bool flag(const std::string& name);
  // Takes "--seed 3" or "--seed=3"; false where the next word is another one. Throws UsageError
  // without value.
  bool value(const std::string& name, std::string& value);
  // Ends the options: takes "--"; throws UsageError where an unknown option comes next.
  bool at_operand();
  bool at_end() const { return position_ == words_.size(); }
  std::string next() { return words_[position_++]; }
  Words rest() const {
    return {words_.begin() + static_cast<std::ptrdiff_t>(position_), words_.end()};
  }

 private:
  const Words& words_;
  std::size_t position_ = 0;
};

}  // namespace ptx_emulator::tool
