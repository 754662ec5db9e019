#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"

// Collects what is wrong with a config, and lays it out for a person.
namespace ovid::config {

struct Source;

// A stretch of one line. Counts bytes from 0. A null source is a place that no text has.
struct Place {
  const Source* source = nullptr;
  std::size_t line = 0;
  std::size_t column = 0;
  std::size_t length = 1;
  bool whole_source = false;  // names the source without a line
};

// A text that is read: a file, or one override of the command line.
struct Source {
  Source(std::string_view source_name, std::string_view source_text, bool from_command_line,
         std::size_t source_number = 0, Place included = {});
  Source(const Source&) = delete;

  std::string name;
  std::string text;
  bool command_line;
  std::size_t number;                   // problems are told source by source, in this order
  Place included_from;                  // of a base file: where another file names it
  std::vector<std::string_view> lines;  // of text, without their ends
};

class Report {
 public:
  // What is wrong, what to write instead (beside the carets), how to go on. The last two may be
  // empty.
  void add(const Place& place, std::string message, std::string label = {}, std::string help = {});
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  [[noreturn]] void fail();  // throws ConfigError with all, in the order of their places

 private:
  struct Entry {
    Place place;
    std::string message;
    std::string label;
    std::string help;
  };
  static std::string layout(const Entry& entry);
  static Problem problem_of(const Entry& entry);

  std::vector<Entry> entries_;
};

}  // namespace ovid::config
