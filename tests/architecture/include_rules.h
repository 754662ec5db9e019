#pragma once

#include <map>
#include <set>

#include "tests/architecture/tree_files.h"

namespace ovid::test {

// Each declared module and the modules that it declares to use.
using ModuleGraph = std::map<std::string, std::set<std::string>>;

// Reads the lines "module: used used ..." that cmake/OvidModule.cmake writes into the build folder.
// Throws std::runtime_error on a line that is none, or on a module named twice.
ModuleGraph parse_module_graph(const std::string& text);

// The declared module that the file belongs to: the longest one whose folder holds it. Empty where
// there is none.
std::string module_of(const ModuleGraph& graph, const std::filesystem::path& relative_path);

// The declarations alone: no cycle, no use of an undeclared module, kernels/ uses nothing of src/,
// an op uses no op.
Problems check_module_graph(const ModuleGraph& graph);

// Every #include "..." in kernels/, src/ and data_tools/: names a file of the tree by its path from
// the root, in the file's own module or in one that its module declares directly. Every source file
// belongs to a declared module. Highway's headers alone may be included by "", as it wants it.
Problems check_includes(const std::filesystem::path& root, const ModuleGraph& graph);

// Third-party headers stand only in the modules that wrap them, and in no header.
Problems check_library_headers(const std::filesystem::path& root);

}  // namespace ovid::test
