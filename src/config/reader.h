#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/report.h"
#include "src/config/resolve.h"
#include "src/config/yaml_tree.h"
#include "src/core/file.h"

namespace ovid::config {

inline constexpr std::uint64_t kLargestFile = 1 << 20;  // bytes, without a byte order mark

// Reads what files and overrides give, key by key. What is read later wins. Everything that is
// wrong goes to the report.
class Reader {
 public:
  explicit Reader(Report& report) : report_(report) {}

  // The text of the file `name`, and the base files that it names.
  void read_file_text(std::string_view name, std::string_view text);
  // "section.key=value" of the command line.
  void read_override(std::string_view text);

  const Given& given() const { return given_; }
  // False where a file could not be read: nothing is then known to be missing.
  bool readable() const { return readable_; }

 private:
  void read_document(const Source& source);
  void read_bases(const Node& root);
  void read_base(const std::string& written, const Place& place);
  bool closes_a_circle(const Path& file, const Place& place);
  void read_entries(std::string_view section, const Node& map);
  void read_section(const Node& name, const Node& value);
  void read_key(const Key& key, const Node& node, const Place& place, const std::string& origin);
  void unknown_key(std::string_view section, const Node& name, const Node& value);
  void unknown_override(std::string_view path, const Place& place);
  const Source& add_source(std::string_view name, std::string_view text, bool command_line,
                           Place included_from = {});

  Report& report_;
  std::deque<Source> sources_;  // places point into them
  std::vector<Path> open_;      // the files that are being read, each named by the one before
  Given given_;
  std::size_t layer_ = 0;
  bool readable_ = true;
};

}  // namespace ovid::config
