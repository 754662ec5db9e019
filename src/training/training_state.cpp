#include "src/training/training_state.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "src/core/error.h"

namespace ovid::training {
namespace {

using Json = nlohmann::json;

constexpr int kFormatVersion = 1;

const char* name_of(data::SequenceOrder order) {
  return order == data::SequenceOrder::kShuffled ? "shuffled" : "sequential";
}

Json model_json(const model::ModelConfig& m) {
  return {{"layers", m.layers},
          {"heads", m.heads},
          {"width", m.width},
          {"context_length", m.context_length},
          {"vocabulary_size", m.vocabulary_size},
          {"tied_head", m.tied_head}};
}

model::ModelConfig model_from(const Json& json) {
  model::ModelConfig m;
  m.layers = json.at("layers");
  m.heads = json.at("heads");
  m.width = json.at("width");
  m.context_length = json.at("context_length");
  m.vocabulary_size = json.at("vocabulary_size");
  m.tied_head = json.at("tied_head");
  return m;
}

template <class T>
std::optional<T> optional_from(const Json& json, const char* key) {
  return json.at(key).is_null() ? std::nullopt : std::optional<T>(json.at(key).get<T>());
}

}  // namespace

std::string to_json(const TrainingState& s) {
  Json json = {{"format_version", kFormatVersion},
               {"step", s.step},
               {"sequences_consumed", s.sequences_consumed},
               {"tokens", s.tokens},
               {"best_validation_loss", nullptr},
               {"best_step", nullptr},
               {"seed", s.seed},
               {"data_fingerprint", s.data_fingerprint},
               {"order", name_of(s.order)},
               {"length", s.length},
               {"model", model_json(s.model)}};
  if (s.best_validation_loss) json["best_validation_loss"] = *s.best_validation_loss;
  if (s.best_step) json["best_step"] = *s.best_step;
  return json.dump(2) + "\n";
}

TrainingState training_state_from_json(const std::string& text, const std::string& source) {
  try {
    const Json json = Json::parse(text);
    const int version = json.at("format_version");
    if (version != kFormatVersion) {
      throw CheckpointError(
          fmt::format("{} has format version {}, this program reads {}: use the Ovid that wrote it",
                      source, version, kFormatVersion));
    }
    TrainingState s;
    s.step = json.at("step");
    s.sequences_consumed = json.at("sequences_consumed");
    s.tokens = json.at("tokens");
    s.best_validation_loss = optional_from<double>(json, "best_validation_loss");
    s.best_step = optional_from<std::int64_t>(json, "best_step");
    s.seed = json.at("seed");
    s.data_fingerprint = json.at("data_fingerprint");
    s.order = json.at("order") == "shuffled" ? data::SequenceOrder::kShuffled
                                             : data::SequenceOrder::kSequential;
    s.length = json.at("length");
    s.model = model_from(json.at("model"));
    if (s.step < 0 || s.sequences_consumed < 0 || s.tokens < 0) {
      throw CheckpointError(
          fmt::format("{} counts less than nothing: step {}, sequences {}, tokens {}", source,
                      s.step, s.sequences_consumed, s.tokens));
    }
    return s;
  } catch (const Json::exception& e) {
    throw CheckpointError(fmt::format("{} is not a training state: {}", source, e.what()));
  }
}

void check_continues(const TrainingState& checkpoint, const TrainingState& run,
                     const std::string& run_directory) {
  std::vector<std::string> differences;
  const auto compare = [&](const char* key, const auto& was, const auto& is) {
    if (was != is)
      differences.push_back(fmt::format("{}: {} in the checkpoint, {} now", key, was, is));
  };
  compare("run.seed", checkpoint.seed, run.seed);
  compare("data.order", std::string(name_of(checkpoint.order)), std::string(name_of(run.order)));
  compare("batch.length", checkpoint.length, run.length);
  compare("model.layers", checkpoint.model.layers, run.model.layers);
  compare("model.heads", checkpoint.model.heads, run.model.heads);
  compare("model.width", checkpoint.model.width, run.model.width);
  compare("model.context_length", checkpoint.model.context_length, run.model.context_length);
  compare("model.vocabulary_size", checkpoint.model.vocabulary_size, run.model.vocabulary_size);
  compare("model.tied_head", checkpoint.model.tied_head, run.model.tied_head);
  compare("training data (fingerprint)", checkpoint.data_fingerprint, run.data_fingerprint);
  if (differences.empty()) return;
  std::string text =
      fmt::format("{} holds a run that this config does not continue:", run_directory);
  for (const std::string& difference : differences) text += "\n  " + difference;
  throw UsageError(text +
                   "\nuse the old values to continue it, or another run.name to start a new run");
}

}  // namespace ovid::training
