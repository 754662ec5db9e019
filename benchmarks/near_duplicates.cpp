// Finding near-duplicates among texts that are in memory already: signatures on several threads,
// then the search out of core. One JSON object on standard output.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "data_tools/duplicates/minhash.h"
#include "data_tools/duplicates/near_duplicates.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "src/core/program.h"

namespace {

namespace duplicates = ovid::data_tools::duplicates;

struct Options {
  std::string texts;
  std::string folder;
  std::string dropped;
  std::size_t threads = 1;
  duplicates::NearDuplicateSettings settings;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

using Signatures = std::vector<std::optional<duplicates::Signature>>;

Signatures signatures_of(const std::vector<std::string_view>& texts, std::size_t threads) {
  Signatures signatures(texts.size());
  std::vector<std::jthread> workers;
  for (std::size_t first = 0; first < threads; ++first) {
    workers.emplace_back([&, first] {
      duplicates::SignatureMaker maker;
      for (std::size_t i = first; i < texts.size(); i += threads) signatures[i] = maker(texts[i]);
    });
  }
  return signatures;
}

void run(const Options& options) {
  const std::string content = ovid::read_file(options.texts, 1ull << 36);
  const std::vector<std::string_view> texts = lines_of(content);
  const auto start = std::chrono::steady_clock::now();
  const Signatures signatures = signatures_of(texts, options.threads);
  const double signature_seconds = seconds_since(start);
  duplicates::NearDuplicateFinder finder(options.folder, options.settings);
  for (const auto& signature : signatures) finder.add(signature);
  const duplicates::NearDuplicates found = finder.finish();
  const double seconds = seconds_since(start);
  std::string lines;
  for (const duplicates::NearDuplicate& one : found.all()) {
    lines += fmt::format("{} {} {}\n", one.document, one.kept, one.similarity);
  }
  ovid::replace_file(options.dropped, lines);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{{\"documents\": {}, \"bytes\": {}, \"dropped\": {}, \"threads\": {}, "
      "\"signature_seconds\": {:.4f}, \"seconds\": {:.4f}, \"peak_resident_kib\": {}}}\n",
      texts.size(), content.size(), found.all().size(), options.threads, signature_seconds, seconds,
      usage.ru_maxrss);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Finds near-duplicates and times it"};
  app.add_option("--texts", options.texts, "one text a line")->required();
  app.add_option("--folder", options.folder, "for the finder's files")->required();
  app.add_option("--dropped", options.dropped, "to write: dropped text, kept text, similarity")
      ->required();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 1024));
  app.add_option("--threshold", options.settings.threshold);
  app.add_option("--bands", options.settings.bands);
  app.add_option("--rows", options.settings.rows);
  app.add_option("--memory-bytes", options.settings.memory_bytes);
  CLI11_PARSE(app, argc, argv);
  return static_cast<int>(ovid::run_guarded([&] {
    run(options);
    return ovid::ExitCode::kDone;
  }));
}
