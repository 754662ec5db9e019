// Encoding speed on texts that are in memory already. One JSON object a line on standard output:
// a "ready" line, then one "round" line for each number of threads, and again for each further line
// on standard input where --step-on-input asks for it (so that peers can take turns with it).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "data_tools/documents.h"
#include "src/core/file.h"
#include "src/core/program.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace {

using ovid::tokenizer::TokenId;
using ovid::tokenizer::Tokenizer;

struct Options {
  std::vector<std::string> inputs;
  std::string tokenizer;
  std::vector<int> threads{1, 2};
  int rounds = 5;
  bool step_on_input = false;
  std::string ids;
};

class Gatherer : public ovid::data_tools::DocumentVisitor {
 public:
  void begin_document(const std::string&) override { texts.emplace_back(); }
  void add(std::string_view bytes) override {
    texts.back() += bytes;
    total_bytes += bytes.size();
  }
  void end_document() override {}

  std::vector<std::string> texts;
  std::size_t total_bytes = 0;
};

struct Round {
  double seconds = 0;
  std::size_t tokens = 0;
};

// Thread i takes the documents i, i + threads, ... Each round begins with empty caches and writes
// its ids into memory that is new to it, as the first use of a program does.
Round encode_all(const Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads,
                 std::vector<std::vector<TokenId>>& ids) {
  ids.assign(texts.size(), {});
  const auto encode_share = [&](std::size_t first) {
    ovid::tokenizer::EncodeCache cache;
    for (std::size_t i = first; i < texts.size(); i += static_cast<std::size_t>(threads)) {
      ids[i].reserve(texts[i].size() / 4);
      tokenizer.encode_append(texts[i], ovid::tokenizer::SpecialTokens::kAsText, cache, ids[i]);
    }
  };
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (int i = 1; i < threads; ++i) workers.emplace_back(encode_share, i);
    encode_share(0);
  }
  Round round;
  round.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const auto& of_text : ids) round.tokens += of_text.size();
  return round;
}

void write_ids(const std::vector<std::vector<TokenId>>& ids, const std::string& path) {
  ovid::OutputFile file(path, ovid::WriteMode::kTruncate);
  for (const auto& of_text : ids) {
    const std::vector<std::uint16_t> narrow(of_text.begin(), of_text.end());
    file.write(std::as_bytes(std::span(narrow)));
  }
  file.close();
}

void run(const Options& o) {
  const Tokenizer tokenizer = Tokenizer::load(o.tokenizer);
  Gatherer gathered;
  ovid::data_tools::walk_documents({.inputs = o.inputs}, gathered);
  fmt::print("{{\"event\":\"ready\",\"program\":\"ovid\",\"documents\":{},\"bytes\":{}}}\n",
             gathered.texts.size(), gathered.total_bytes);
  std::fflush(stdout);
  std::vector<std::vector<TokenId>> ids;
  std::string line;
  for (int number = 0; number < o.rounds; ++number) {
    for (const int threads : o.threads) {
      if (o.step_on_input && !std::getline(std::cin, line)) return;
      const Round round = encode_all(tokenizer, gathered.texts, threads, ids);
      if (number == 0 && !o.ids.empty()) write_ids(ids, o.ids);
      fmt::print(
          "{{\"event\":\"round\",\"round\":{},\"threads\":{},\"seconds\":{:.4f},\"tokens\":{},"
          "\"mb_per_second\":{:.1f}}}\n",
          number, threads, round.seconds, round.tokens,
          static_cast<double>(gathered.total_bytes) / 1e6 / round.seconds);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Encoding speed, texts in memory, in MB/s");
  Options o;
  app.add_option("--input", o.inputs, "texts, folders, archives")->required();
  app.add_option("--tokenizer", o.tokenizer)->required();
  app.add_option("--threads", o.threads)->capture_default_str();
  app.add_option("--rounds", o.rounds)->capture_default_str();
  app.add_option("--ids", o.ids, "write all ids of the first round here, as uint16");
  app.add_flag("--step-on-input", o.step_on_input,
               "wait for a line on standard input before each measurement");
  CLI11_PARSE(app, argc, argv);
  return static_cast<int>(ovid::run_guarded([&] {
    run(o);
    return ovid::ExitCode::kDone;
  }));
}
