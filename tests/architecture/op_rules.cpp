#include "tests/architecture/op_rules.h"

#include <algorithm>
#include <regex>

namespace ovid::test {

namespace fs = std::filesystem;

namespace {

bool has_cuda_source(const fs::path& folder, const std::string& op) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(op + "_cuda", 0) == 0 && entry.path().extension() == ".cu") return true;
  }
  return false;
}

// The table of the CUDA module includes the op's header exactly when it has the op's entries.
bool has_backend_entry(const fs::path& root, const std::string& op) {
  const fs::path path = root / "kernels/cuda_backend/backend.h";
  if (!fs::is_regular_file(path)) return false;
  return text_of(path).find("#include \"kernels/" + op + "/") != std::string::npos;
}

bool has_table_row(const fs::path& root, const std::string& op) {
  const fs::path path = root / "kernels/README.md";
  if (!fs::is_regular_file(path)) return false;
  const std::regex row("^\\|\\s*\\[?`" + op + "/?`.*");
  const std::vector<std::string> lines = lines_of(path);
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return std::regex_match(line, row); });
}

}  // namespace

Problems check_op_folders(const fs::path& root) {
  Problems problems;
  std::vector<fs::path> folders;
  if (fs::is_directory(root / "kernels")) {
    for (const auto& entry : fs::directory_iterator(root / "kernels")) {
      if (entry.is_directory()) folders.push_back(entry.path());
    }
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& folder : folders) {
    const std::string op = folder.filename().string();
    if (op == "common" || op == "cpu" || op == "cuda" || op == "cuda_backend") continue;
    const std::string place = "kernels/" + op;
    for (const char* ending : {".h", ".cpp", "_reference.h", "_cpu.cpp"}) {
      if (!fs::is_regular_file(folder / (op + ending))) {
        problems.push_back(place + " has no " + op + ending);
      }
    }
    if (!has_cuda_source(folder, op)) problems.push_back(place + " has no " + op + "_cuda.cu");
    if (!has_backend_entry(root, op)) {
      problems.push_back(place + " has no entry in kernels/cuda_backend/backend.h");
    }
    if (!fs::is_regular_file(root / "tests/kernels" / (op + "_test.cpp"))) {
      problems.push_back(place + " has no tests/kernels/" + op + "_test.cpp");
    }
    if (!has_table_row(root, op)) {
      problems.push_back(place + " has no row in the table of kernels/README.md");
    }
  }
  return problems;
}

}  // namespace ovid::test
