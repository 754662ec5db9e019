#include "src/config/schema.h"

#include <fmt/format.h>

#include "src/config/presets.h"
#include "src/config/schema_table.h"
#include "src/config/value.h"

namespace ovid::config {
namespace {

constexpr Section kSections[] = {
    {"run",
     "Where the run lives. Its folder is `directory`/`name`; the same command on the same folder "
     "resumes."},
    {"device", "What computes."},
    {"", "Keys that stand at the top level."},
    {"model",
     "The network's shape: a preset, or `layers`, `heads` and `width` with the rest. A key beside "
     "a preset overrides the "
     "preset's value. Where `initialize_from` is given, what this section leaves out is the model "
     "directory's."},
    {"data", "Token shards, made by `ovid-data text`."},
    {"batch", "How much goes into one optimizer step."},
    {"optimizer",
     "AdamW (Loshchilov and Hutter 2019). Weight decay acts on matrices, not on biases, gains and "
     "other vectors."},
    {"schedule", "The learning rate over the steps: a linear rise, then the curve of `kind`."},
    {"training", "How long to train, and what of the model."},
    {"lora",
     "Low-rank adapters (Hu et al. 2021): the model of `initialize_from` stays as it is, and small "
     "matrices beside its linears are trained."},
    {"early_stopping", "When a run ends before its last step."},
    {"weight_average", "An average of the weights over the steps, a model of its own."},
    {"guard",
     "What happens to a step whose loss or gradient is not finite, or far from the usual."},
    {"validation", "The loss on data that is not trained on."},
    {"checkpoint", "When the run is saved, and what is kept."},
    {"samples", "Text that the model writes during training, to watch it learn."},
    {"metrics", "What is written beside `metrics.jsonl` to watch the run."},
    {"distributed", "Many devices."},
    {"watchdog", "When a run that hangs, or is restarted in vain, is ended."},
};

}  // namespace

std::span<const Section> sections() {
  return kSections;
}

std::span<const Key> schema() {
  static const std::vector<Key> table = make_schema_table();
  return table;
}

const Section* find_section(std::string_view name) {
  for (const Section& section : kSections) {
    if (section.name == name && !name.empty()) return &section;
  }
  return nullptr;
}

const Key* find_key(std::string_view path) {
  for (const Key& key : schema()) {
    if (key.path == path) return &key;
  }
  return nullptr;
}

const Key& include_key() {
  static const Key key{
      .path = "include",
      .type = Type::kFileList,
      .required = true,  // where it is written, it names a file
      .default_rule = "none",
      .documentation =
          "Config files that are read before this one, in their order. What a later file says wins "
          "key by key, and this file's own keys win over all of them. The paths start at the "
          "folder "
          "of the file that names them. Not for the command line."};
  return key;
}

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  const std::size_t dot = path.find('.');
  if (dot == std::string_view::npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

std::string describe_range(const Range& range) {
  const bool bounded = range.high != std::numeric_limits<double>::infinity();
  if (!bounded)
    return fmt::format("{}{}", range.without_low ? "above " : "", range.low) +
           (range.without_low ? "" : " or more");
  if (!range.without_low && !range.without_high)
    return fmt::format("{} to {}", range.low, range.high);
  return fmt::format("{} {} and {} {}", range.without_low ? "above" : "at least", range.low,
                     range.without_high ? "below" : "at most", range.high);
}

std::string describe_type(const Key& key) {
  std::string out;
  switch (key.type) {
    case Type::kText:
      out = "text";
      break;
    case Type::kPath:
      out = "path";
      break;
    case Type::kFolderName:
      out = "folder name";
      break;
    case Type::kPathList:
      out = "list of paths or patterns";
      break;
    case Type::kFileList:
      out = "path | list of paths";
      break;
    case Type::kNameList:
      out = "name | list of names or patterns";
      break;
    case Type::kInteger:
      out = "integer, " + describe_range(key.range);
      for (const std::string_view word : key.choices) out += fmt::format(" | {}", word);
      break;
    case Type::kNumber:
      out = "number, " + describe_range(key.range);
      break;
    case Type::kNumberList:
      out = "list of numbers, each " + describe_range(key.range);
      break;
    case Type::kBoolean:
      out = "true | false";
      break;
    case Type::kChoice:
      out = fmt::format("{}", fmt::join(key.choices, " | "));
      break;
  }
  if (key.nullable) out += " | null";
  if (!key.unit.empty()) out += fmt::format(" ({})", key.unit);
  return out;
}

std::string describe_default(const Key& key) {
  if (!key.default_rule.empty()) return std::string(key.default_rule);
  if (key.required) return "none: must be given";
  return to_yaml(key.get(RunConfig{}));
}

}  // namespace ovid::config
