#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// What the rules of this folder share. A rule is a function from the root of a source tree to a
// list of problems, each one sentence that names the file and the cure; no problems means that the
// tree obeys. Being functions of a root, they run both on this repository and on small broken
// trees, where they must find the fault.
namespace ovid::test {

using Problems = std::vector<std::string>;

// Regular files under root/folder, as paths relative to root in sorted order. Skips folders whose
// name begins with a dot. Empty where the folder is absent.
std::vector<std::filesystem::path> files_under(const std::filesystem::path& root,
                                               const std::string& folder);

// The lines of a file, without their ends. Throws std::runtime_error where it cannot be read.
std::vector<std::string> lines_of(const std::filesystem::path& path);
std::string text_of(const std::filesystem::path& path);

// Writes root/relative_path and makes its folders: for the broken trees.
void write_text(const std::filesystem::path& root, const std::string& relative_path,
                std::string_view text);

bool has_extension(const std::filesystem::path& path,
                   std::initializer_list<const char*> extensions);
bool is_cpp(const std::filesystem::path& path);  // .h .cpp .cu .cuh

// All problems in one text, one a line, for a test's message.
std::string join(const Problems& problems);

}  // namespace ovid::test
