#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/checkpoint/checkpoint_names.h"
#include "src/core/error.h"
#include "src/report/flat_config.h"
#include "src/report/html.h"
#include "src/report/page_sections.h"

namespace ovid::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSamples = 24;
constexpr std::size_t kMostSampleBytes = 8'000;
constexpr std::uint64_t kMostFileBytes = 1 << 20;

struct SampleFile {
  std::int64_t step = 0;
  Path path;
};

// The newest first.
std::vector<SampleFile> sample_files(const Path& directory) {
  constexpr int kMostEntries = 100'000;
  std::vector<SampleFile> files;
  std::error_code error;
  int entries = 0;
  for (fs::directory_iterator it(directory, error);
       !error && it != fs::directory_iterator() && entries < kMostEntries;
       it.increment(error), ++entries) {
    const auto step = checkpoint::parse_step_name(it->path().stem().string());
    if (step && it->path().extension() == ".txt") files.push_back({*step, it->path()});
  }
  std::sort(files.begin(), files.end(),
            [](const SampleFile& a, const SampleFile& b) { return a.step > b.step; });
  return files;
}

// The first, the last, and of the others so many at equal distances that kMostSamples stay.
std::vector<SampleFile> spread(const std::vector<SampleFile>& files) {
  if (files.size() <= kMostSamples) return files;
  std::vector<SampleFile> out;
  for (std::size_t i = 0; i < kMostSamples; ++i)
    out.push_back(files[i * (files.size() - 1) / (kMostSamples - 1)]);
  return out;
}

std::string read_small(const Path& path) {
  try {
    return read_file(path, kMostFileBytes);
  } catch (const Error&) {
    return "";
  }
}

std::string prompt_of(const RunSummary& summary) {
  const auto found = summary.config.find("samples.prompt");
  return found == summary.config.end() ? "" : unquoted(found->second);
}

std::string sample_html(std::string text, const std::string& prompt) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const bool cut = text.size() > kMostSampleBytes;
  if (cut) text.resize(kMostSampleBytes);
  std::string out = "<pre>";
  if (!prompt.empty() && text.starts_with(prompt)) {
    out += "<span class=\"prompt\">" + escaped(prompt) + "</span>";
    text.erase(0, prompt.size());
  }
  return out + escaped(text) + (cut ? " \xe2\x80\xa6" : "") + "</pre>";
}

std::string table_rows(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::string out;
  for (const auto& [name, value] : rows)
    out += fmt::format("<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(value));
  return out;
}

std::string box(std::string_view title, const std::string& rows) {
  return fmt::format("<div class=\"box\"><h3>{}</h3><table>{}</table></div>\n", escaped(title),
                     rows);
}

}  // namespace

std::string samples_html(const Run& run) {
  const std::vector<SampleFile> files = sample_files(run.summary.directory / "samples");
  if (files.empty()) return "";
  const std::string prompt = prompt_of(run.summary);
  std::string out = "<h2>Samples through time</h2>\n";
  bool newest = true;
  for (const SampleFile& file : spread(files)) {
    const std::string text = read_small(file.path);
    if (text.empty()) continue;
    out += fmt::format("<details{}><summary>step {}{}</summary>{}</details>\n",
                       newest ? " open" : "", readable_count(file.step),
                       newest ? "<small>the newest</small>" : "", sample_html(text, prompt));
    newest = false;
  }
  if (files.size() > kMostSamples) {
    out += fmt::format("<p class=\"sub\">{} of {} samples; all are in {}.</p>\n", kMostSamples,
                       files.size(), escaped((run.summary.directory / "samples").string()));
  }
  return out;
}

std::string config_html(const Run& run) {
  if (run.summary.config.empty()) return "";
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> sections;
  for (const auto& [key, value] : run.summary.config) {
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) {
      sections[""].push_back({key, value});
    } else {
      sections[key.substr(0, dot)].push_back({key.substr(dot + 1), value});
    }
  }
  std::string out = "<h2>Config</h2>\n<div class=\"sections\">\n";
  for (const auto& [name, rows] : sections)
    out += box(name.empty() ? "general" : name, table_rows(rows));
  return out + "</div>\n";
}

std::string environment_html(const Run& run) {
  using nlohmann::json;
  const std::string text = read_small(run.summary.directory / "environment.json");
  constexpr int kMostDepth = 3;  // deeper values are left out, and cost no stack
  const json parsed = json::parse(
      text, [](int depth, json::parse_event_t, json&) { return depth <= kMostDepth; }, false);
  if (!parsed.is_object()) return "";
  std::vector<std::pair<std::string, std::string>> rows;
  for (const auto& [key, value] : parsed.items()) {
    rows.push_back({key, value.is_string()
                             ? value.get<std::string>()
                             : value.dump(-1, ' ', false, json::error_handler_t::replace)});
  }
  if (rows.empty()) return "";
  return "<h2>Environment</h2>\n" + box("machine and build", table_rows(rows));
}

}  // namespace ovid::report
