#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/config/report.h"

namespace ovid::config {

// A YAML value with its place. Plain scalars keep their letters: what they mean is decided by the
// key they belong to.
struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  struct Entry;

  Kind kind = Kind::kNull;
  bool in_quotes = false;
  std::string text;            // of a scalar
  std::vector<Node> items;     // of a sequence
  std::vector<Entry> entries;  // of a map, repeated keys included
  Place place;
};

struct Node::Entry {
  Node key;
  Node value;
};

// Reads the YAML document that stands in `source` from byte `begin` on. Refuses what a config never
// needs and what makes YAML dangerous: anchors, aliases, tags, a second document, more than 8
// levels, more than 10,000 values, control characters, invalid UTF-8, tabs as indentation. Nothing,
// and one entry more in `report`, where it cannot be read.
std::optional<Node> read_yaml(const Source& source, std::size_t begin, Report& report);

}  // namespace ovid::config
