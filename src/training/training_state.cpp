#include "src/training/training_state.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "src/core/error.h"

namespace ovid::training {
namespace {

using Json = nlohmann::json;

constexpr int kFormatVersion = 1;

const char* name_of(data::SequenceOrder order) {
  return order == data::SequenceOrder::kShuffled ? "shuffled" : "sequential";
}

struct NotWhole {
  std::string key;
};

// The library would turn a fraction, or a number that does not fit, into some other one: the result
// of a conversion beyond the range of the type is undefined.
template <class T>
T whole(const Json& object, const char* key) {
  const Json& value = object.at(key);
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.get<std::uint64_t>())
                        : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  if (!fits) throw NotWhole{key};
  return value.get<T>();
}

std::int64_t count(const Json& object, const char* key) {
  return whole<std::int64_t>(object, key);
}

Json low_rank_json(const model::LowRankConfig& l) {
  return {{"rank", l.rank},   {"alpha", l.alpha},
          {"c_attn", l.qkv},  {"attn.c_proj", l.projection},
          {"c_fc", l.expand}, {"mlp.c_proj", l.contract}};
}

model::LowRankConfig low_rank_from(const Json& json) {
  return {.rank = count(json, "rank"),
          .alpha = json.at("alpha"),
          .qkv = json.at("c_attn"),
          .projection = json.at("attn.c_proj"),
          .expand = json.at("c_fc"),
          .contract = json.at("mlp.c_proj")};
}

// "rank 8, alpha 16, attn.c_attn, mlp.c_fc".
std::string low_rank_text(const model::LowRankConfig& l) {
  if (l.rank == 0) return "none";
  std::string text = fmt::format("rank {}, alpha {}", l.rank, l.alpha);
  if (l.qkv) text += ", attn.c_attn";
  if (l.projection) text += ", attn.c_proj";
  if (l.expand) text += ", mlp.c_fc";
  if (l.contract) text += ", mlp.c_proj";
  return text;
}

Json model_json(const model::ModelConfig& m) {
  Json json = {{"layers", m.layers},
               {"heads", m.heads},
               {"width", m.width},
               {"context_length", m.context_length},
               {"vocabulary_size", m.vocabulary_size},
               {"tied_head", m.tied_head}};
  if (!m.frozen.empty()) json["frozen"] = m.frozen;
  if (m.low_rank.rank > 0) json["low_rank"] = low_rank_json(m.low_rank);
  return json;
}

model::ModelConfig model_from(const Json& json) {
  model::ModelConfig m;
  m.layers = count(json, "layers");
  m.heads = count(json, "heads");
  m.width = count(json, "width");
  m.context_length = count(json, "context_length");
  m.vocabulary_size = count(json, "vocabulary_size");
  m.tied_head = json.at("tied_head");
  if (json.contains("frozen")) m.frozen = json.at("frozen").get<std::vector<std::string>>();
  if (json.contains("low_rank")) m.low_rank = low_rank_from(json.at("low_rank"));
  return m;
}

Json guard_json(const GuardState& g) {
  return {{"losses", g.losses},
          {"gradient_norms", g.gradient_norms},
          {"skips_in_a_row", g.skips_in_a_row},
          {"skips", g.skips}};
}

GuardState guard_from(const Json& json) {
  return {.losses = json.at("losses"),
          .gradient_norms = json.at("gradient_norms"),
          .skips_in_a_row = count(json, "skips_in_a_row"),
          .skips = count(json, "skips")};
}

template <class T>
std::optional<T> optional_from(const Json& json, const char* key) {
  return json.at(key).is_null() ? std::nullopt : std::optional<T>(json.at(key).get<T>());
}

Json validations_json(const ValidationProgress& v) {
  Json json = {{"lowest", nullptr}, {"without_improvement", v.without_improvement}};
  if (v.lowest) json["lowest"] = *v.lowest;
  return json;
}

ValidationProgress validations_from(const Json& json) {
  return {.lowest = optional_from<double>(json, "lowest"),
          .without_improvement = count(json, "without_improvement")};
}

Json loss_scale_json(const LossScale& scale) {
  return {{"value", scale.value}, {"good_steps", scale.good_steps}};
}

LossScale loss_scale_from(const Json& json) {
  const LossScale scale{.value = json.at("value"), .good_steps = count(json, "good_steps")};
  // A hostile one would turn every gradient into zero or infinity.
  if (!(scale.value >= LossScale::kLeast && scale.value <= LossScale::kMost) ||
      scale.good_steps < 0) {
    throw NotWhole{"loss_scale"};
  }
  return scale;
}

// "3 tensors (transformer.wpe.weight ... transformer.wte.weight)".
std::string frozen_text(const std::vector<std::string>& names) {
  if (names.empty()) return "nothing";
  return fmt::format("{} tensors ({} ... {})", names.size(), names.front(), names.back());
}

}  // namespace

std::string to_json(const TrainingState& s) {
  Json json = {{"format_version", kFormatVersion},
               {"step", s.step},
               {"sequences_consumed", s.sequences_consumed},
               {"tokens", s.tokens},
               {"best_validation_loss", nullptr},
               {"best_step", nullptr},
               {"guard", guard_json(s.guard)},
               {"validations", validations_json(s.validations)},
               {"last_update", s.last_update},
               {"seed", s.seed},
               {"data_fingerprint", s.data_fingerprint},
               {"order", name_of(s.order)},
               {"length", s.length},
               {"model", model_json(s.model)}};
  if (s.best_validation_loss) json["best_validation_loss"] = *s.best_validation_loss;
  if (s.best_step) json["best_step"] = *s.best_step;
  if (s.loss_scale) json["loss_scale"] = loss_scale_json(*s.loss_scale);
  return json.dump(2) + "\n";
}

TrainingState training_state_from_json(const std::string& text, const std::string& source) {
  try {
    const Json json = Json::parse(text);
    const auto version = count(json, "format_version");
    if (version != kFormatVersion) {
      throw CheckpointError(
          fmt::format("{} has format version {}, this program reads {}: use the Ovid that wrote it",
                      source, version, kFormatVersion));
    }
    TrainingState s;
    s.step = count(json, "step");
    s.sequences_consumed = count(json, "sequences_consumed");
    s.tokens = count(json, "tokens");
    s.best_validation_loss = optional_from<double>(json, "best_validation_loss");
    if (!json.at("best_step").is_null()) s.best_step = count(json, "best_step");
    // Checkpoints of version 1.0 have neither: they begin with empty windows.
    if (json.contains("guard")) s.guard = guard_from(json.at("guard"));
    if (json.contains("validations")) s.validations = validations_from(json.at("validations"));
    // Those of version 1.0 and 1.1 were made in float32, which needs neither.
    s.last_update = json.contains("last_update") ? count(json, "last_update") : s.step;
    if (json.contains("loss_scale")) s.loss_scale = loss_scale_from(json.at("loss_scale"));
    s.seed = whole<std::uint64_t>(json, "seed");
    s.data_fingerprint = json.at("data_fingerprint");
    s.order = json.at("order") == "shuffled" ? data::SequenceOrder::kShuffled
                                             : data::SequenceOrder::kSequential;
    s.length = count(json, "length");
    s.model = model_from(json.at("model"));
    if (s.step < 0 || s.sequences_consumed < 0 || s.tokens < 0 || s.last_update < 0) {
      throw CheckpointError(
          fmt::format("{} counts less than nothing: step {}, sequences {}, tokens {}", source,
                      s.step, s.sequences_consumed, s.tokens));
    }
    return s;
  } catch (const Json::exception& e) {
    throw CheckpointError(fmt::format("{} is not a training state: {}", source, e.what()));
  } catch (const NotWhole& e) {
    throw CheckpointError(
        fmt::format("{} is not a training state: {} is no whole number that fits; resume from "
                    "another checkpoint",
                    source, e.key));
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
  // Moments are kept of what is trained alone.
  if (checkpoint.model.low_rank != run.model.low_rank) {
    differences.push_back(fmt::format("lora: {} in the checkpoint, {} now",
                                      low_rank_text(checkpoint.model.low_rank),
                                      low_rank_text(run.model.low_rank)));
  } else if (checkpoint.model.frozen != run.model.frozen) {
    differences.push_back(fmt::format("training.freeze: {} in the checkpoint, {} now",
                                      frozen_text(checkpoint.model.frozen),
                                      frozen_text(run.model.frozen)));
  }
  compare("training data (fingerprint)", checkpoint.data_fingerprint, run.data_fingerprint);
  if (differences.empty()) return;
  std::string text =
      fmt::format("{} holds a run that this config does not continue:", run_directory);
  for (const std::string& difference : differences) text += "\n  " + difference;
  throw UsageError(text +
                   "\nuse the old values to continue it, or another run.name to start a new run");
}

}  // namespace ovid::training
