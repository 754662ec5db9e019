#pragma once

#include <functional>
#include <optional>

#include "tests/architecture/include_rules.h"
#include "tests/architecture/tree_files.h"

namespace ovid::test {

// README.md, kernels/README.md and every page under docs/: relative links lead to files that exist,
// their #anchors to headings, and paths named in `code` (with a slash, beginning with a folder of
// the tree) exist. Paths with * < > { } or ... are patterns, not paths.
Problems check_links(const std::filesystem::path& root);

// Comments that cite a page ("docs/math/gelu.md") in C++ files cite one that exists.
Problems check_cited_pages(const std::filesystem::path& root);

// The modules table of docs/architecture.md, rows "| `module` | uses | purpose |": one row for each
// declared module, no other, and its second column names just the modules that it declares to use
// ("-" for none).
Problems check_module_table(const std::filesystem::path& root, const ModuleGraph& graph);

// What `PROGRAM WORDS... --help` prints; nothing where the program fails on it.
using Help = std::function<std::optional<std::string>(const std::string& program,
                                                      const std::vector<std::string>& words)>;

// Every command of the two programs in a page's code, blocks and spans: the program's help knows
// its subcommands and its
// --flags.
Problems check_commands(const std::filesystem::path& root, const std::string& page,
                        const Help& help);

}  // namespace ovid::test
