#include "src/config/presets.h"
#include "src/config/schema_rows.h"

namespace ovid::config {
namespace {

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  return names;
}

void add_model(std::vector<Key>& keys) {
  constexpr std::string_view kOfPreset = "the preset's";
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::preset>(),
             {.path = "model.preset",
              .type = Type::kChoice,
              .choices = preset_names(),
              .nullable = true,
              .default_rule =
                  "gpt2-124m, unless `layers`, `heads` and `width` or `initialize_from` are given",
              .documentation = "A published shape: the four GPT-2 sizes, or DistilGPT2's."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::layers, Zero::kNull>(),
                        {.path = "model.layers",
                         .type = Type::kInteger,
                         .range = {1, 1024},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Transformer blocks."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::heads, Zero::kNull>(),
                        {.path = "model.heads",
                         .type = Type::kInteger,
                         .range = {1, 1024},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Attention heads of a block; must divide `width`."}));
  keys.push_back(joined(bind<&RunConfig::model, &ModelSection::width, Zero::kNull>(),
                        {.path = "model.width",
                         .type = Type::kInteger,
                         .range = {1, 65536},
                         .nullable = true,
                         .default_rule = kOfPreset,
                         .documentation = "Columns of the residual stream."}));
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::context_length, Zero::kNull>(),
             {.path = "model.context_length",
              .type = Type::kInteger,
              .range = {1, kLongestContext},
              .nullable = true,
              .unit = "tokens",
              .default_rule = "the preset's; 1024 without one",
              .documentation =
                  "The longest sequence that the model can read: one position embedding each."}));
  keys.push_back(joined(
      bind<&RunConfig::model, &ModelSection::vocabulary_size, Zero::kNull>(),
      {.path = "model.vocabulary_size",
       .type = Type::kInteger,
       .range = {1, 65536},
       .nullable = true,
       .unit = "tokens",
       .default_rule = "the preset's; without one the data set's tokenizer has the say",
       .documentation = "Rows of the token embedding. Must not be below the tokenizer's size."}));
  keys.push_back(
      joined(bind<&RunConfig::model, &ModelSection::tied_head>(),
             {.path = "model.tied_head",
              .type = Type::kBoolean,
              .nullable = true,
              .default_rule = "true; the model directory's where `initialize_from` is given",
              .documentation = "Whether the head's weight is the token embedding, as in "
                               "GPT-2, or a matrix of its own."}));
  keys.push_back(joined(
      bind<&RunConfig::model, &ModelSection::dropout>(),
      {.path = "model.dropout",
       .type = Type::kNumber,
       .range = {0, 1, false, true},
       .unit = "probability",
       .documentation =
           "Dropout of embeddings, attention weights and residual branches during training."}));
  keys.push_back(joined(
      bind<&RunConfig::initialize_from>(),
      {.path = "initialize_from",
       .type = Type::kPath,
       .nullable = true,
       .documentation = "A model directory whose weights the run starts from (fine-tuning): a "
                        "checkpoint of Ovid or a Hugging Face GPT-2."}));
}

void add_data(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::data, &DataSection::train>(),
             {.path = "data.train",
              .type = Type::kPathList,
              .required = true,
              .documentation =
                  "The token shards to train on. Patterns with `*` take files in sorted order; a "
                  "value that begins with `*` needs quotes."}));
  keys.push_back(
      joined(bind<&RunConfig::data, &DataSection::weights>(),
             {.path = "data.weights",
              .type = Type::kNumberList,
              .range = {0, 1e6, true, false},
              .documentation =
                  "The shares in which sequences are drawn from the entries of `train`, one number "
                  "for each entry: with 3 and 1, three sequences of the first come for each one of "
                  "the second, whatever their sizes. Empty: each sequence once an epoch."}));
  keys.push_back(
      joined(bind<&RunConfig::data, &DataSection::validation>(),
             {.path = "data.validation",
              .type = Type::kPathList,
              .documentation = "The token shards of the validation loss. Empty: no validation."}));
  keys.push_back(joined(bind<&RunConfig::data, &DataSection::order>(),
                        {.path = "data.order",
                         .type = Type::kChoice,
                         .choices = names_of<DataOrder>(),
                         .documentation = "`shuffled` draws a new order in each epoch; "
                                          "`sequential` reads the shards from end to end."}));
  keys.push_back(joined(
      bind<&RunConfig::data, &DataSection::tokenizer>(),
      {.path = "data.tokenizer",
       .type = Type::kPath,
       .nullable = true,
       .default_rule = "the one that `dataset.json` beside the shards names",
       .documentation = "The tokenizer of the shards: a folder, a `.tiktoken` file, or `bytes`."}));
}

}  // namespace

void add_model_rows(std::vector<Key>& keys) {
  add_model(keys);
  add_data(keys);
}

}  // namespace ovid::config
