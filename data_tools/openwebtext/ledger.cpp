#include "data_tools/openwebtext/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "src/core/checksum.h"
#include "src/core/log.h"

namespace ovid::data_tools::openwebtext {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::uint64_t key_of(std::string_view name) {
  return hash64(std::as_bytes(std::span(name)));
}

ordered_json to_json(const std::map<std::string, std::uint64_t>& counts) {
  ordered_json json = ordered_json::object();
  for (const auto& [name, count] : counts) json[name] = count;
  return json;
}

ordered_json to_json(const StageTally& tally) {
  return {{"documents_in", tally.documents_in}, {"documents_out", tally.documents_out},
          {"bytes_in", tally.bytes_in},         {"bytes_out", tally.bytes_out},
          {"dropped", to_json(tally.dropped)},  {"changes", to_json(tally.changes)}};
}

StageTally tally_from(const ordered_json& json) {
  StageTally tally{.documents_in = json.at("documents_in"),
                   .documents_out = json.at("documents_out"),
                   .bytes_in = json.at("bytes_in"),
                   .bytes_out = json.at("bytes_out"),
                   .dropped = {},
                   .changes = {}};
  for (const auto& [name, count] : json.at("dropped").items()) tally.dropped[name] = count;
  for (const auto& [name, count] : json.at("changes").items()) tally.changes[name] = count;
  return tally;
}

ordered_json to_json(const DroppedSample& sample) {
  ordered_json json{{"document", sample.name},
                    {"reason", sample.reason},
                    {"figure", sample.figure},
                    {"limit", sample.limit},
                    {"excerpt", sample.excerpt}};
  if (!sample.kept.empty()) {
    json["kept"] = sample.kept;
    json["kept_excerpt"] = sample.kept_excerpt;
  }
  return json;
}

DroppedSample sample_from(const ordered_json& json) {
  DroppedSample sample{.name = json.at("document"),
                       .reason = json.at("reason"),
                       .figure = json.at("figure"),
                       .limit = json.at("limit"),
                       .excerpt = json.at("excerpt"),
                       .kept = json.value("kept", std::string()),
                       .kept_excerpt = json.value("kept_excerpt", std::string())};
  sample.key = json.at("key");
  return sample;
}

void add_changes(StageTally& tally, const filters::NormaliseCounts& counts) {
  const std::pair<const char*, std::uint64_t> all[] = {{"invalid_utf8", counts.invalid_utf8},
                                                       {"mojibake", counts.mojibake},
                                                       {"line_ends", counts.line_ends},
                                                       {"control", counts.control},
                                                       {"zero_width", counts.zero_width},
                                                       {"spaces", counts.spaces},
                                                       {"trailing_spaces", counts.trailing_spaces},
                                                       {"blank_lines", counts.blank_lines},
                                                       {"composed_lines", counts.composed}};
  for (const auto& [name, count] : all) {
    if (count > 0) tally.changes[name] += count;
  }
}

}  // namespace

void Ledger::keep_sample(Stage stage, DroppedSample sample) {
  auto& kept = samples_[static_cast<std::size_t>(stage)];
  sample.key = key_of(sample.name);
  // Equal names (of one file given twice) keep their order.
  const auto place = std::upper_bound(
      kept.begin(), kept.end(), sample.key,
      [](std::uint64_t key, const DroppedSample& other) { return key < other.key; });
  kept.insert(place, std::move(sample));
  if (kept.size() > most_samples_) kept.pop_back();
}

bool Ledger::wants_sample(Stage stage, std::string_view name) const {
  const auto& kept = samples(stage);
  return kept.size() < most_samples_ || (!kept.empty() && key_of(name) < kept.back().key);
}

void Ledger::pass(Stage stage, std::uint64_t bytes) {
  StageTally& tally = at(stage);
  ++tally.documents_in;
  ++tally.documents_out;
  tally.bytes_in += bytes;
  tally.bytes_out += bytes;
}

void Ledger::drop(Stage stage, std::uint64_t bytes, DroppedSample sample) {
  StageTally& tally = at(stage);
  ++tally.documents_in;
  tally.bytes_in += bytes;
  ++tally.dropped[sample.reason];
  if (wants_sample(stage, sample.name)) keep_sample(stage, std::move(sample));
}

void Ledger::note(Stage stage, const char* change, std::uint64_t count) {
  if (count > 0) at(stage).changes[change] += count;
}

void Ledger::clear(Stage stage) {
  at(stage) = {};
  samples_[static_cast<std::size_t>(stage)].clear();
}

void Ledger::set_input(std::uint64_t input, InputRecord record) {
  if (inputs_.size() <= input) inputs_.resize(input + 1);
  inputs_[input] = std::move(record);
}

void Ledger::count(const Item& item, const Outcome& outcome) {
  if (item.found != Found::kDocument) {
    ++(item.found == Found::kDamaged ? damaged_ : bad_);
    if (first_bad_.size() < kFirstBad) {
      first_bad_.push_back(
          fmt::format("{}: {}: {}", item.name, name_of(item.found), excerpt_of(item.text)));
      log::warning(fmt::format("left out {}", first_bad_.back()));
    }
  }
  // The bytes that go into a stage are those that came out of the one before.
  const auto bytes_into = [&](Stage stage) {
    if (stage <= Stage::kNormalise) return outcome.raw_bytes;
    if (stage == Stage::kBoilerplate) return outcome.normalised_bytes;
    return outcome.text_bytes;
  };
  for (std::size_t i = 0; i <= static_cast<std::size_t>(Stage::kWikipedia); ++i) {
    const auto stage = static_cast<Stage>(i);
    if (stage == Stage::kNormalise) add_changes(at(stage), outcome.normalised);
    if (stage == Stage::kBoilerplate) {
      for (std::size_t kind = 1; kind < filters::kLineKinds; ++kind) {
        if (outcome.lines[kind] == 0) continue;
        const std::string_view name = filters::name_of(static_cast<filters::LineKind>(kind));
        at(stage).changes[std::string(name) + "_lines"] += outcome.lines[kind];
      }
    }
    if (outcome.dropped && outcome.dropped->stage == stage) {
      drop(stage, bytes_into(stage),
           {.name = item.name,
            .reason = outcome.dropped->reason,
            .figure = outcome.dropped->figure,
            .limit = outcome.dropped->limit,
            .excerpt = outcome.excerpt,
            .kept = {},
            .kept_excerpt = {}});
      return;
    }
    StageTally& tally = at(stage);
    ++tally.documents_in;
    ++tally.documents_out;
    tally.bytes_in += bytes_into(stage);
    tally.bytes_out += bytes_into(static_cast<Stage>(i + 1));
  }
}

std::string Ledger::to_json() const {
  ordered_json stages = ordered_json::array();
  for (std::size_t i = 0; i < kStages; ++i) {
    ordered_json stage = openwebtext::to_json(stages_[i]);
    stage["samples"] = ordered_json::array();
    for (const DroppedSample& sample : samples_[i]) {
      ordered_json described = openwebtext::to_json(sample);
      described["key"] = sample.key;
      stage["samples"].push_back(std::move(described));
    }
    stages.push_back(std::move(stage));
  }
  return dump({{"samples", most_samples_},
               {"stages", std::move(stages)},
               {"inputs", ordered_json::parse(inputs_as_json(*this))},
               {"first_bad", first_bad_},
               {"damaged", damaged_},
               {"bad", bad_}});
}

Ledger Ledger::from_json(const std::string& text) {
  const ordered_json json = ordered_json::parse(text);
  Ledger ledger(json.at("samples").get<std::size_t>());
  for (std::size_t i = 0; i < kStages; ++i) {
    const ordered_json& stage = json.at("stages").at(i);
    ledger.stages_[i] = tally_from(stage);
    for (const ordered_json& sample : stage.at("samples")) {
      ledger.samples_[i].push_back(sample_from(sample));
    }
  }
  for (const ordered_json& input : json.at("inputs")) {
    ledger.inputs_.push_back(
        {.path = input.at("file"), .bytes = input.at("bytes"), .checksum = input.at("xxh128")});
  }
  for (const ordered_json& bad : json.at("first_bad")) ledger.first_bad_.push_back(bad);
  ledger.damaged_ = json.at("damaged");
  ledger.bad_ = json.at("bad");
  return ledger;
}

std::string stages_as_json(const Ledger& ledger) {
  ordered_json stages = ordered_json::array();
  for (std::size_t i = 0; i < kStages; ++i) {
    const auto stage = static_cast<Stage>(i);
    ordered_json json{{"stage", name_of(stage)}};
    json.update(to_json(ledger.tally(stage)));
    json["samples"] = ordered_json::array();
    for (const DroppedSample& sample : ledger.samples(stage)) {
      json["samples"].push_back(to_json(sample));
    }
    stages.push_back(std::move(json));
  }
  return dump(stages);
}

std::string inputs_as_json(const Ledger& ledger) {
  ordered_json inputs = ordered_json::array();
  for (const InputRecord& input : ledger.inputs()) {
    inputs.push_back({{"file", input.path}, {"bytes", input.bytes}, {"xxh128", input.checksum}});
  }
  return dump(inputs);
}

}  // namespace ovid::data_tools::openwebtext
