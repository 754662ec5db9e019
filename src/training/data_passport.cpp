#include "src/training/data_passport.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "src/core/error.h"
#include "src/core/log.h"
#include "src/core/version.h"

namespace ovid::training {
namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kMostPassportBytes = 64 << 20;
constexpr std::size_t kMostPassports = 64;

std::string passport_name(std::size_t number) {
  return number == 0 ? "passport.json" : fmt::format("passport_{}.json", number + 1);
}

// A field of a passport for a table: what is absent or of another type is a dash. The file comes
// from outside, and must neither end the run nor break the page.
std::string cell(const ordered_json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end()) return "-";
  std::string text = found->is_string()
                         ? found->get<std::string>()
                         : found->dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  for (char& c : text) c = c == '|' || c == '\n' || c == '\r' || c == '<' ? ' ' : c;
  return text;
}

ordered_json list_in(const ordered_json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_array()
             ? object[key]
             : ordered_json::array();
}

void add_data(const std::string& name, const ordered_json& passport, std::string& card) {
  card += fmt::format("\n## Data: {}\n\nMade by {}; the whole account is in `{}`.\n",
                      cell(passport, "corpus"), cell(passport, "created_by"), name);
  card +=
      "\n| stage | documents in | out | bytes in | out | dropped |\n|---|---|---|---|---|---|\n";
  for (const ordered_json& stage : list_in(passport, "stages")) {
    card += fmt::format("| {} | {} | {} | {} | {} | {} |\n", cell(stage, "stage"),
                        cell(stage, "documents_in"), cell(stage, "documents_out"),
                        cell(stage, "bytes_in"), cell(stage, "bytes_out"), cell(stage, "dropped"));
  }
  card += "\n| input | bytes | XXH3-128 |\n|---|---|---|\n";
  for (const ordered_json& input : list_in(passport, "inputs")) {
    card += fmt::format("| {} | {} | {} |\n", cell(input, "file"), cell(input, "bytes"),
                        cell(input, "xxh128"));
  }
  const ordered_json overlap = passport.is_object() && passport.contains("evaluation_overlap")
                                   ? passport["evaluation_overlap"]
                                   : ordered_json();
  const ordered_json sets = list_in(overlap, "sets");
  if (!sets.empty())
    card += "\n| evaluation set | share of its 8-grams in the corpus |\n|---|---|\n";
  for (const ordered_json& set : sets) {
    card += fmt::format("| {} | {} |\n", cell(set, "set"), cell(set, "fraction"));
  }
}

}  // namespace

void copy_data_passports(const RunPlan& plan, const Path& run_directory) {
  std::set<Path> folders;
  std::size_t number = 0;
  for (const data::TokenDataset& source : plan.train->sources()) {
    const Path folder = source.shards().front().path().parent_path();
    const Path passport = folder / "passport.json";
    if (!folders.insert(folder).second || !std::filesystem::is_regular_file(passport)) continue;
    if (number == kMostPassports) break;
    try {
      const std::string text = read_file(passport, kMostPassportBytes);
      if (!ordered_json::accept(text)) throw DataError(passport.string() + " is no JSON");
      replace_file(run_directory / passport_name(number), text);
      ++number;
    } catch (const DataError& error) {
      log::warning(fmt::format("the data passport is left out: {}", error.what()));
    }
  }
}

std::map<std::string, std::string> data_passport_texts(const RunPlan& plan,
                                                       const Path& run_directory) {
  std::map<std::string, std::string> texts;
  for (std::size_t number = 0; number < kMostPassports; ++number) {
    const Path path = run_directory / passport_name(number);
    if (!std::filesystem::is_regular_file(path)) break;
    texts[path.filename().string()] = read_file(path, kMostPassportBytes);
  }
  if (!texts.empty()) texts["README.md"] = model_card(plan.model, texts);
  return texts;
}

std::string model_card(const model::ModelConfig& model,
                       const std::map<std::string, std::string>& passports) {
  std::string card = fmt::format(
      "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- gpt2\n---\n\n"
      "# Model card\n\nA GPT-2 model, trained by Ovid {}: {} layers, {} heads, width {}, context "
      "{}, vocabulary {}.\n",
      kVersion, model.layers, model.heads, model.width, model.context_length,
      model.vocabulary_size);
  for (const auto& [name, text] : passports) {
    const ordered_json passport = ordered_json::parse(text, nullptr, false);
    if (passport.is_object()) add_data(name, passport, card);
  }
  return card;
}

}  // namespace ovid::training
