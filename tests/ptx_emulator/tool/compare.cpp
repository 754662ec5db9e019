#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "tests/ptx_emulator/tool/commands.h"

namespace ptx_emulator::tool {
namespace {

using nlohmann::json;
using Numbers = std::map<std::string, double>;

// What two files are compared by: every number of a kernel but the time of emulation, which says
// nothing of a GPU.
struct Kernel {
  Numbers numbers;
  std::map<std::string, Numbers> sources;
};

void add_numbers(const json& object, const std::string& prefix, Numbers& numbers) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_number() && key != "emulated_seconds")
      numbers[prefix + key] += value.get<double>();
  }
}

// What is read off the sums: work a request, a launch.
void add_ratios(Numbers& numbers) {
  const auto ratio = [&](const char* name, const char* part, const char* whole) {
    const auto a = numbers.find(part);
    const auto b = numbers.find(whole);
    if (a != numbers.end() && b != numbers.end() && b->second != 0) {
      numbers[name] = a->second / b->second;
    }
  };
  ratio("sectors a request", "sectors", "requests");
  ratio("sectors / ideal", "sectors", "ideal_sectors");
  ratio("wavefronts / ideal", "wavefronts", "ideal_wavefronts");
  ratio("active lanes", "lanes", "executed");
  ratio("divergent branches", "divergent_branches", "branches");
}

std::map<std::string, Kernel> read_report(const std::string& path) {
  std::map<std::string, Kernel> kernels;
  try {
    const json report = json::parse(read_file(path));
    if (report.at("format") != 1) throw UsageError(path + ": a format that is not known here");
    for (const json& entry : report.at("kernels")) {
      Kernel& kernel = kernels[entry.at("kernel").get<std::string>()];
      add_numbers(entry, "", kernel.numbers);
      add_numbers(entry.at("total"), "", kernel.numbers);
      add_ratios(kernel.numbers);
      add_numbers(entry.at("classes"), "class ", kernel.numbers);
      for (const json& source : entry.at("sources")) {
        Numbers& numbers = kernel.sources[source.at("source").get<std::string>()];
        add_numbers(source, "", numbers);
        add_ratios(numbers);
      }
    }
  } catch (const json::exception& error) {
    throw UsageError(path + ": no file of --counters: " + error.what());
  }
  return kernels;
}

// Prints what differs by more than the tolerance; the number of lines.
std::size_t print_changes(const std::string& title, const Numbers& before, const Numbers& after,
                          double tolerance_percent) {
  std::set<std::string> names;
  for (const auto& [name, value] : before) names.insert(name);
  for (const auto& [name, value] : after) names.insert(name);
  std::size_t count = 0;
  for (const std::string& name : names) {
    const double a = before.count(name) > 0 ? before.at(name) : 0;
    const double b = after.count(name) > 0 ? after.at(name) : 0;
    const double percent = a == 0 ? (b == 0 ? 0 : HUGE_VAL) : 100 * (b - a) / a;
    if (std::abs(percent) <= tolerance_percent) continue;
    if (count++ == 0) std::printf("%s\n", title.c_str());
    std::printf("  %-28s %16.10g %16.10g", name.c_str(), a, b);
    std::printf(std::isinf(percent) ? "\n" : "  %+.2f %%\n", percent);
  }
  return count;
}

std::size_t compare_kernel(const std::string& name, const Kernel& before, const Kernel& after,
                           double tolerance_percent, bool lines) {
  std::size_t count = print_changes(name, before.numbers, after.numbers, tolerance_percent);
  if (!lines) return count;
  std::map<std::string, Numbers> all = before.sources;
  all.insert(after.sources.begin(), after.sources.end());
  static const Numbers kNone;
  const auto find = [](const Kernel& kernel, const std::string& source) -> const Numbers& {
    const auto found = kernel.sources.find(source);
    return found == kernel.sources.end() ? kNone : found->second;
  };
  for (const auto& [source, unused] : all) {
    count += print_changes(name + ", " + source, find(before, source), find(after, source),
                           tolerance_percent);
  }
  return count;
}

}  // namespace

int compare(const Words& words) {
  Options options(words);
  double tolerance_percent = 0;
  bool lines = false;
  std::string value;
  while (!options.at_end()) {
    if (options.flag("--lines")) {
      lines = true;
    } else if (options.value("--tolerance", value)) {
      char* end = nullptr;
      tolerance_percent = std::strtod(value.c_str(), &end);
      if (value.empty() || *end != '\0' || !(tolerance_percent >= 0)) {
        throw UsageError("--tolerance " + value + ": it takes a percentage from 0 on");
      }
    } else if (options.at_operand()) {
      break;
    }
  }
  const Words files = options.rest();
  if (files.size() != 2) throw UsageError("compare takes two files of --counters");
  const auto before = read_report(files[0]);
  const auto after = read_report(files[1]);
  std::size_t count = 0;
  for (const auto& [name, kernel] : before) {
    if (after.count(name) > 0) {
      count += compare_kernel(name, kernel, after.at(name), tolerance_percent, lines);
    } else {
      std::printf("only before: %s\n", name.c_str());
      ++count;
    }
  }
  for (const auto& [name, kernel] : after) {
    if (before.count(name) > 0) continue;
    std::printf("only after: %s\n", name.c_str());
    ++count;
  }
  if (count == 0) std::printf("no difference\n");
  return count == 0 ? 0 : kDifference;
}

}  // namespace ptx_emulator::tool
