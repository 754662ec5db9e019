#include "tests/architecture/tree_files.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace ovid::test {

namespace fs = std::filesystem;

std::vector<fs::path> files_under(const fs::path& root, const std::string& folder) {
  std::vector<fs::path> files;
  if (!fs::is_directory(root / folder)) return files;
  for (fs::recursive_directory_iterator it(root / folder), end; it != end; ++it) {
    const std::string name = it->path().filename().string();
    if (it->is_directory() && (name.front() == '.' || name == "__pycache__")) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      files.push_back(it->path().lexically_relative(root));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::istringstream text(text_of(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

void write_text(const fs::path& root, const std::string& relative_path, std::string_view text) {
  const fs::path path = root / relative_path;
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
}

bool has_extension(const fs::path& path, std::initializer_list<const char*> extensions) {
  const std::string extension = path.extension().string();
  return std::any_of(extensions.begin(), extensions.end(),
                     [&](const char* one) { return extension == one; });
}

bool is_cpp(const fs::path& path) {
  return has_extension(path, {".h", ".cpp", ".cu", ".cuh"});
}

std::string join(const Problems& problems) {
  std::string text;
  for (const std::string& problem : problems) text += "\n  " + problem;
  return text;
}

}  // namespace ovid::test
