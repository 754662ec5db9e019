#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/error.h"
#include "src/core/file.h"

// What every fuzz target shares. A target is one .cpp file that defines try_input and
// kAllowedBytes; fuzz_target.cpp has libFuzzer's entry and watches memory meanwhile.
namespace ovid::fuzz {

// Gives `input` to the functions under test. What they throw for bad input goes through refuses();
// any other exception, and every sanitizer's finding, ends the program.
void try_input(std::string_view input);

// No single allocation may be larger than twice the input and these bytes: sizes that a file names
// are checked before memory is taken.
struct AllowedBytes {
  std::size_t ours;     // operator new: our code and header-only libraries
  std::size_t malloc_;  // the C libraries beneath, such as a decompressor's window
};
extern const AllowedBytes kAllowedBytes;

inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline constexpr AllowedBytes kStrict{.ours = 16 * kMiB, .malloc_ = 16 * kMiB};

// Prints `what` and ends the program: the input is kept as a finding.
[[noreturn]] void fail(const std::string& what);

// What a user reads of a bad file must end: fails for more than `most_bytes`. (Control characters
// in messages are the log's to replace.)
void check_message(std::string_view message, std::size_t most_bytes = std::size_t{16} << 10);

// What goes to standard output as it is must not steer the terminal either: fails for control
// characters other than line ends.
void check_shown(std::string_view text);

// Calls `call`; true where it throws an ovid::Error, whose message is checked.
template <class Call>
bool refuses(Call call, std::size_t most_message_bytes = std::size_t{16} << 10) {
  try {
    call();
  } catch (const Error& error) {
    check_message(error.what(), most_message_bytes);
    return true;
  }
  return false;
}

// A folder of this process, on the file system that TMPDIR names, gone with the process.
const Path& folder();
// Writes `bytes` to folder() / name and makes its parents.
Path write_file(std::string_view name, std::string_view bytes);
// Removes everything from folder().
void empty_folder();

// An input that stands for several files: each begins behind a line "=== NAME" and ends before the
// line end that precedes the next such line. Of two of one name the later counts; what comes before
// the first is left out.
std::map<std::string, std::string_view, std::less<>> split_sections(std::string_view input);

// The file of that section; empty where there is none.
std::string_view section(const std::map<std::string, std::string_view, std::less<>>& sections,
                         std::string_view name);

// Empties folder() and writes those of `names` that are in `sections`.
void write_sections(const std::map<std::string, std::string_view, std::less<>>& sections,
                    const std::vector<std::string>& names);

}  // namespace ovid::fuzz
