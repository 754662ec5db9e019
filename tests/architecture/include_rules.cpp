#include "tests/architecture/include_rules.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace ovid::test {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFolders[] = {"kernels", "src", "data_tools"};

struct Include {
  std::string name;
  bool quoted;
};

std::optional<Include> parse_include(const std::string& line) {
  static const std::regex kPattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  std::smatch match;
  if (!std::regex_match(line, match, kPattern)) return std::nullopt;
  return Include{match[2], match[1] == "\""};
}

// Calls visit(file, "file:line", include) for each include of the three source folders.
void for_each_include(
    const fs::path& root,
    const std::function<void(const fs::path&, const std::string&, const Include&)>& visit) {
  for (const char* folder : kFolders) {
    for (const fs::path& file : files_under(root, folder)) {
      if (!is_cpp(file)) continue;
      int number = 0;
      for (const std::string& line : lines_of(root / file)) {
        ++number;
        if (const auto include = parse_include(line)) {
          visit(file, file.string() + ":" + std::to_string(number), *include);
        }
      }
    }
  }
}

bool begins_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}

bool is_op(const std::string& module) {
  return begins_with(module, "kernels/") && module != "kernels/common" && module != "kernels/cpu" &&
         module != "kernels/cuda" && module != "kernels/cuda_backend";
}

void find_cycles(const ModuleGraph& graph, const std::string& module,
                 std::vector<std::string>& path, std::set<std::string>& finished,
                 Problems& problems) {
  const auto on_path = std::find(path.begin(), path.end(), module);
  if (on_path != path.end()) {
    std::string cycle;
    for (auto it = on_path; it != path.end(); ++it) cycle += *it + " -> ";
    problems.push_back("modules use each other in a circle: " + cycle + module);
    return;
  }
  const auto entry = graph.find(module);
  if (entry == graph.end() || finished.count(module) > 0) return;
  path.push_back(module);
  for (const std::string& used : entry->second) find_cycles(graph, used, path, finished, problems);
  path.pop_back();
  finished.insert(module);
}

}  // namespace

ModuleGraph parse_module_graph(const std::string& text) {
  ModuleGraph graph;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0) {
      throw std::runtime_error("module graph: no 'module: used ...' in the line '" + line + "'");
    }
    const auto [entry, is_new] = graph.try_emplace(line.substr(0, colon));
    if (!is_new) throw std::runtime_error("module graph: " + entry->first + " is declared twice");
    std::istringstream names(line.substr(colon + 1));
    for (std::string name; names >> name;) entry->second.insert(name);
  }
  return graph;
}

std::string module_of(const ModuleGraph& graph, const fs::path& relative_path) {
  for (fs::path folder = relative_path.parent_path(); !folder.empty();
       folder = folder.parent_path()) {
    if (graph.count(folder.generic_string()) > 0) return folder.generic_string();
  }
  return "";
}

Problems check_module_graph(const ModuleGraph& graph) {
  Problems problems;
  for (const auto& [module, uses] : graph) {
    for (const std::string& used : uses) {
      if (graph.count(used) == 0) {
        problems.push_back(module + " declares to use " + used + ", which is no declared module");
      }
      if (begins_with(module, "kernels/") && !begins_with(used, "kernels/")) {
        problems.push_back(module + " declares to use " + used + "; kernels/ stands alone");
      }
      if (is_op(module) && is_op(used)) {
        problems.push_back(module + " declares to use " + used + "; ops never use each other");
      }
    }
  }
  std::set<std::string> finished;
  for (const auto& [module, uses] : graph) {
    std::vector<std::string> path;
    find_cycles(graph, module, path, finished, problems);
  }
  return problems;
}

Problems check_includes(const fs::path& root, const ModuleGraph& graph) {
  Problems problems;
  std::set<std::string> undeclared;
  for (const char* folder : kFolders) {
    for (const fs::path& file : files_under(root, folder)) {
      if (!is_cpp(file) || !module_of(graph, file).empty()) continue;
      const std::string place = file.parent_path().generic_string();
      if (undeclared.insert(place).second) {
        problems.push_back(place + " is no declared module; it needs ovid_add_module");
      }
    }
  }
  for_each_include(root, [&](const fs::path& file, const std::string& place,
                             const Include& include) {
    if (!include.quoted || begins_with(include.name, "hwy/")) return;
    const std::string module = module_of(graph, file);
    if (module.empty()) return;  // its folder is reported above
    if (!fs::is_regular_file(root / include.name) &&
        !fs::is_regular_file(root / (include.name + ".in"))) {  // .in: written by configure_file
      problems.push_back(place + ": \"" + include.name +
                         "\" is no path from the repository root; other libraries' headers are "
                         "included with <>");
      return;
    }
    const std::string target = module_of(graph, include.name);
    if (target != module && graph.at(module).count(target) == 0) {
      problems.push_back(place + ": includes " + include.name + ", but " + module +
                         " does not declare to use " +
                         (target.empty() ? fs::path(include.name).parent_path().string() : target));
    }
  });
  return problems;
}

Problems check_library_headers(const fs::path& root) {
  struct Library {
    const char* start;                // of the header's name
    std::vector<std::string> places;  // folders whose sources may include it; empty: any
  };
  static const std::vector<Library> kLibraries = {
      {"cuda", {"kernels/"}},
      {"cublas", {"kernels/cuda"}},
      {"nccl", {"kernels/cuda"}},
      {"mpi.h", {"src/distributed"}},
      {"dnnl", {"kernels/cpu"}},
      {"oneapi/dnnl", {"kernels/cpu"}},
      {"cblas", {"kernels/cpu"}},
      {"omp.h", {"kernels/cpu"}},
      {"yaml-cpp/", {"src/config"}},
      {"spdlog/", {"src/core"}},
      {"CLI/", {"src/cli", "data_tools"}},
      {"nlohmann/", {}},
      {"simdjson", {}},
      {"archive", {"data_tools"}},
      {"xxh", {"src/core"}},
      {"hwy/", {"kernels/"}},
  };
  Problems problems;
  for_each_include(
      root, [&](const fs::path& file, const std::string& place, const Include& include) {
        if (include.quoted) return;
        for (const Library& library : kLibraries) {
          if (!begins_with(include.name, library.start)) continue;
          const bool is_simd = begins_with(library.start, "hwy/");  // vector types cannot be hidden
          if (has_extension(file, {".h"}) && !is_simd) {
            problems.push_back(place + ": <" + include.name +
                               "> in a header; include it in the .cpp and hide its types");
          }
          const bool allowed = library.places.empty() ||
                               std::any_of(library.places.begin(), library.places.end(),
                                           [&](const std::string& folder) {
                                             return begins_with(file.generic_string(), folder);
                                           });
          if (!allowed) {
            problems.push_back(place + ": <" + include.name + "> outside " +
                               library.places.front() + ", which wraps it");
          }
        }
      });
  return problems;
}

}  // namespace ovid::test
