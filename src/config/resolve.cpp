#include "src/config/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <numeric>
#include <optional>
#include <vector>

#include "src/config/presets.h"
#include "src/config/suggestion.h"

namespace ovid::config {
namespace {

constexpr std::int64_t kWarmupSteps = 700;
constexpr std::int64_t kMicroSequences = 16;
constexpr std::int64_t kContextLength = 1024;
constexpr std::array<std::string_view, 5> kLoraTargets = {"attn.c_attn", "attn.c_proj", "mlp.c_fc",
                                                          "mlp.c_proj", "all"};

// The divisors of `total` next to `value`, below and above, as "8, 16".
std::string nearest_divisors(std::int64_t total, std::int64_t value) {
  std::vector<std::int64_t> found;
  std::int64_t below = std::min(value, total);
  while (below > 0 && total % below != 0) --below;
  if (below > 0) found.push_back(below);
  std::int64_t above = value;
  while (above <= total && total % above != 0) ++above;
  if (above <= total) found.push_back(above);
  return fmt::format("{}", fmt::join(found, ", "));
}

// The multiples of `unit` next to `value`, below and above.
std::string nearest_multiples(std::int64_t unit, std::int64_t value) {
  const std::int64_t below = value / unit * unit;
  if (below == 0) return fmt::format("{}", unit);
  return fmt::format("{}, {}", below, below + unit);
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

class Resolver {
 public:
  Resolver(const Given& given, Report& report) : given_(given), report_(report) {}

  Resolved run() {
    for (const Key& key : schema()) {
      const auto entry = given_.values.find(key.path);
      out_.origins[std::string(key.path)] = has(key.path) ? entry->second.origin : "default";
      if (entry != given_.values.end()) key.set(out_.values, entry->second.value);
      if (key.required && entry == given_.values.end() && sound({key.path})) missing(key.path);
    }
    resolve_model();
    resolve_data();
    resolve_batch();
    resolve_schedule();
    resolve_lora();
    resolve_validation();
    return std::move(out_);
  }

 private:
  bool has(std::string_view path) const { return given_.has(path); }

  bool sound(std::initializer_list<std::string_view> paths) const {
    return std::none_of(paths.begin(), paths.end(),
                        [&](std::string_view path) { return given_.failed.contains(path); });
  }

  // The problem stands at the key that was read last: what it contradicts was there before. Of
  // keys of one file it is the first of `paths`; a default has no place.
  void contradiction(std::initializer_list<std::string_view> paths, std::string message,
                     std::string label, std::string help = {}) {
    const Given::Entry* last = nullptr;
    for (const std::string_view path : paths) {
      if (!has(path)) continue;
      const Given::Entry& entry = given_.values.find(path)->second;
      if (last == nullptr || entry.layer > last->layer) last = &entry;
    }
    report_.add(last != nullptr ? last->place : given_.whole, std::move(message), std::move(label),
                std::move(help));
  }

  void missing(std::string_view path, std::string help = {}) {
    if (help.empty()) help = fmt::format("`ovid config explain {}` tells what it is", path);
    const std::string_view section = split_path(path).first;
    report_.add(given_.place_of(section), fmt::format("`{}` is missing", path), {},
                std::move(help));
  }

  void resolve_model() {
    ModelSection& model = out_.values.model;
    const bool own_shape = has("model.layers") || has("model.heads") || has("model.width");
    const bool from_directory = has("initialize_from") || given_.failed.contains("initialize_from");
    if (!sound({"model.preset", "model.layers", "model.heads", "model.width",
                "model.context_length"})) {
      return;
    }
    if (!model.preset && !own_shape && !from_directory) model.preset = presets().front().name;
    if (model.preset) {
      const Preset& preset = *find_preset(*model.preset);
      const std::string origin = has("model.preset") ? "preset " + *model.preset : "default";
      fill(model.layers, preset.layers, "model.layers", origin);
      fill(model.heads, preset.heads, "model.heads", origin);
      fill(model.width, preset.width, "model.width", origin);
      fill(model.context_length, preset.context_length, "model.context_length", origin);
      fill(model.vocabulary_size, preset.vocabulary_size, "model.vocabulary_size", origin);
    } else if (!from_directory) {
      for (const std::string_view path : {"model.layers", "model.heads", "model.width"}) {
        if (!has(path)) missing(path, "give layers, heads and width, or a `preset`");
      }
      if (model.context_length == 0) model.context_length = kContextLength;
    }
    if (model.heads > 0 && model.width % model.heads != 0) {
      contradiction({"model.heads", "model.width", "model.preset"},
                    fmt::format("`model.heads` = {} does not divide `model.width` = {}",
                                model.heads, model.width),
                    fmt::format("nearest heads: {}", nearest_divisors(model.width, model.heads)),
                    fmt::format("or a width of {}", nearest_multiples(model.heads, model.width)));
    }
  }

  void fill(std::int64_t& field, std::int64_t value, std::string_view path,
            const std::string& origin) {
    if (field != 0) return;
    field = value;
    out_.origins[std::string(path)] = origin;
  }

  void resolve_data() {
    const DataSection& data = out_.values.data;
    if (!sound({"data.train", "data.weights"}) || data.weights.empty()) return;
    if (data.weights.size() != data.train.size()) {
      contradiction({"data.weights", "data.train"},
                    fmt::format("`data.weights` holds {}, `data.train` {}",
                                counted(data.weights.size(), "number", "numbers"),
                                counted(data.train.size(), "entry", "entries")),
                    "one number for each entry", "a pattern is one entry, whatever it matches");
    }
  }

  void resolve_batch() {
    BatchSection& batch = out_.values.batch;
    resolve_micro_sequences(batch);
    resolve_ramp(batch);
    const std::int64_t context_length = out_.values.model.context_length;
    if (batch.length == 0) batch.length = context_length;
    const bool known =
        sound({"batch.length", "model.context_length", "model.preset"}) && context_length > 0;
    if (known && batch.length > context_length) {
      contradiction({"batch.length", "model.context_length", "model.preset"},
                    fmt::format("`batch.length` = {} is above `model.context_length` = {}",
                                batch.length, context_length),
                    fmt::format("`batch.length` at most {}", context_length),
                    "or raise `model.context_length`");
    }
  }

  void resolve_micro_sequences(BatchSection& batch) {
    if (!sound({"batch.sequences", "batch.micro_sequences", "batch.ramp_from"})) return;
    if (!has("batch.micro_sequences")) {
      const std::int64_t both = std::gcd(batch.sequences, batch.ramp_from);
      batch.micro_sequences = std::min(both, kMicroSequences);
      while (both % batch.micro_sequences != 0) --batch.micro_sequences;
      return;
    }
    if (batch.micro_sequences == 0 || batch.sequences % batch.micro_sequences == 0) return;
    contradiction(
        {"batch.sequences", "batch.micro_sequences"},
        fmt::format("`batch.sequences` = {} is not divisible by `batch.micro_sequences` = {}",
                    batch.sequences, batch.micro_sequences),
        fmt::format("nearest: {}", nearest_multiples(batch.micro_sequences, batch.sequences)),
        fmt::format("or `batch.micro_sequences` of {}",
                    nearest_divisors(batch.sequences, batch.micro_sequences)));
  }

  void resolve_ramp(const BatchSection& batch) {
    if (!sound({"batch.sequences", "batch.micro_sequences", "batch.ramp_from", "batch.ramp_steps"}))
      return;
    if ((batch.ramp_from == 0) != (batch.ramp_steps == 0)) {
      const bool from_is_missing = batch.ramp_from == 0;
      contradiction({from_is_missing ? "batch.ramp_steps" : "batch.ramp_from"},
                    fmt::format("`batch.{}` is given without `batch.{}`",
                                from_is_missing ? "ramp_steps" : "ramp_from",
                                from_is_missing ? "ramp_from" : "ramp_steps"),
                    "a ramp needs both", "0 for both is no ramp");
    } else if (batch.ramp_from > batch.sequences) {
      contradiction({"batch.ramp_from", "batch.sequences"},
                    fmt::format("`batch.ramp_from` = {} is above `batch.sequences` = {}",
                                batch.ramp_from, batch.sequences),
                    fmt::format("`ramp_from` at most {}", batch.sequences));
    } else if (batch.micro_sequences > 0 && batch.ramp_from % batch.micro_sequences != 0) {
      contradiction(
          {"batch.ramp_from", "batch.micro_sequences"},
          fmt::format("`batch.ramp_from` = {} is not divisible by `batch.micro_sequences` = {}",
                      batch.ramp_from, batch.micro_sequences),
          fmt::format("nearest: {}", nearest_multiples(batch.micro_sequences, batch.ramp_from)));
    }
  }

  void resolve_schedule() {
    if (!sound({"training.steps", "schedule.warmup_steps", "schedule.kind",
                "schedule.decay_fraction"}))
      return;
    ScheduleSection& schedule = out_.values.schedule;
    const std::int64_t steps = out_.values.training.steps;
    if (!has("schedule.warmup_steps")) schedule.warmup_steps = std::min(kWarmupSteps, steps / 10);
    if (schedule.warmup_steps > steps) {
      contradiction({"schedule.warmup_steps", "training.steps"},
                    fmt::format("`schedule.warmup_steps` = {} is above `training.steps` = {}",
                                schedule.warmup_steps, steps),
                    fmt::format("`warmup_steps` at most {}", steps));
    } else if (schedule.kind == ScheduleKind::kWarmupStableDecay) {
      const double left =
          static_cast<double>(steps - schedule.warmup_steps) / static_cast<double>(steps);
      if (schedule.decay_fraction > left) {
        contradiction(
            {"schedule.decay_fraction", "schedule.warmup_steps", "schedule.kind", "training.steps"},
            fmt::format("{} steps of warm-up and `schedule.decay_fraction` = {} are more than "
                        "`training.steps` "
                        "= {}",
                        schedule.warmup_steps, schedule.decay_fraction, steps),
            fmt::format("`decay_fraction` at most {:.3g}", std::floor(left * 1000) / 1000));
      }
    }
  }

  void resolve_lora() {
    if (!sound({"lora.rank", "lora.targets"})) return;
    const RunConfig& c = out_.values;
    for (const std::string& target : c.lora.targets) check_target(target);
    if (c.lora.rank == 0) return;
    const std::string rank = fmt::format("`lora.rank` = {}", c.lora.rank);
    if (c.lora.targets.empty()) {
      contradiction({"lora.targets", "lora.rank"},
                    rank + ", but `lora.targets` names no linear to adapt", "say [attn.c_attn]");
    }
    if (!c.initialize_from && sound({"initialize_from"})) {
      contradiction({"lora.rank"},
                    rank + " adapts a trained model, and `initialize_from` names none",
                    "0 trains the model itself", "or give `initialize_from: MODEL_DIRECTORY`");
    }
    if (!c.training.freeze.empty()) {
      contradiction(
          {"training.freeze", "lora.rank"},
          "`training.freeze` beside " + rank + ": all but the adapters stays as it is already",
          "leave it out");
    }
    if (c.weight_average.decay > 0) {
      contradiction({"weight_average.decay", "lora.rank"},
                    fmt::format("`weight_average.decay` = {} beside {}: adapters are not averaged",
                                c.weight_average.decay, rank),
                    "0 keeps none");
    }
  }

  void check_target(const std::string& target) {
    if (std::find(kLoraTargets.begin(), kLoraTargets.end(), target) != kLoraTargets.end()) return;
    auto meant = nearest(target, kLoraTargets);
    for (const std::string_view linear : kLoraTargets) {  // "c_attn", as PEFT takes it
      if (!target.empty() && linear.ends_with("." + target)) meant = linear;
    }
    contradiction({"lora.targets"},
                  fmt::format("`lora.targets` = `{}` is no linear of a block", target),
                  meant ? fmt::format("did you mean `{}`?", *meant)
                        : fmt::format("one of {}", fmt::join(kLoraTargets, ", ")));
  }

  void resolve_validation() {
    RunConfig& c = out_.values;
    if (!has("checkpoint.save_best")) c.checkpoint.save_best = c.early_stopping.patience > 0;
    if (!sound({"data.validation", "validation.every_steps"})) return;
    if (c.data.validation.empty()) {
      if (!has("validation.every_steps")) c.validation.every_steps = 0;
      needs_validation_data("validation.every_steps", c.validation.every_steps > 0,
                            fmt::format("{}", c.validation.every_steps), "0 for no validation");
    }
    // Only a validation can tell that there is no progress, or which step is the best.
    const bool validates = c.validation.every_steps > 0;
    const auto patience = fmt::format("{}", c.early_stopping.patience);
    if (c.data.validation.empty()) {
      needs_validation_data("early_stopping.patience", c.early_stopping.patience > 0, patience,
                            "0 for no early end");
      needs_validation_data("checkpoint.save_best",
                            has("checkpoint.save_best") && c.checkpoint.save_best, "true",
                            "false saves by steps alone");
    } else if (!validates && c.early_stopping.patience > 0 && sound({"early_stopping.patience"})) {
      contradiction({"early_stopping.patience", "validation.every_steps"},
                    fmt::format("`early_stopping.patience` = {}, but `validation.every_steps` = 0 "
                                "means no validation",
                                patience),
                    "0 for no early end", "or give `validation.every_steps`");
    }
  }

  void needs_validation_data(std::string_view path, bool wanted, std::string_view value,
                             std::string label) {
    if (!wanted || !sound({path})) return;
    contradiction({path, "data.validation"},
                  fmt::format("`{}` = {}, but `data.validation` names no shards", path, value),
                  std::move(label), "or give `data.validation`");
  }

  const Given& given_;
  Report& report_;
  Resolved out_;
};

}  // namespace

bool Given::has(std::string_view path) const {
  const auto entry = values.find(path);
  return entry != values.end() && !std::holds_alternative<std::monostate>(entry->second.value);
}

Place Given::place_of(std::string_view path) const {
  if (const auto entry = values.find(path); entry != values.end()) return entry->second.place;
  if (const auto section = sections.find(path); section != sections.end()) return section->second;
  return whole;
}

Resolved resolve(const Given& given, Report& report) {
  return Resolver(given, report).run();
}

}  // namespace ovid::config
