#pragma once

#include "tests/architecture/tree_files.h"

namespace ovid::test {

inline constexpr int kMaxLines = 600;
inline constexpr int kMaxColumns = 100;

// C++ and CUDA files of the tree: at most 600 lines and 100 columns (characters, not bytes), no
// tabs, no blank at a line's end, a final newline, #pragma once in headers, an issue number at
// every mark of unfinished work.
Problems check_source_style(const std::filesystem::path& root);

// All text files: no path of somebody's machine, no host of a package registry (docs/install.md may
// name commands).
Problems check_no_machine_names(const std::filesystem::path& root);

}  // namespace ovid::test
