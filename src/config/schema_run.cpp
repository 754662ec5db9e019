#include "src/config/schema_rows.h"

namespace ovid::config {
namespace {

void add_run(std::vector<Key>& keys) {
  keys.push_back(joined(
      bind<&RunConfig::run, &RunSection::name>(),
      {.path = "run.name",
       .type = Type::kFolderName,
       .documentation =
           "The run's name, and its folder's. Two runs of different configs need two names."}));
  keys.push_back(joined(
      bind<&RunConfig::run, &RunSection::directory>(),
      {.path = "run.directory",
       .type = Type::kPath,
       .documentation = "The folder that holds the run's folder. Made where it is absent."}));
  keys.push_back(
      joined(bind<&RunConfig::run, &RunSection::seed>(),
             {.path = "run.seed",
              .type = Type::kInteger,
              .range = {0, 9007199254740991.0},  // 2^53 − 1: every JSON reader keeps it whole
              .documentation = "The seed of the initial weights, the data's order, dropout and "
                               "samples. The same seed, config, "
                               "build and machine give the same run, bit by bit."}));
}

void add_device(std::vector<Key>& keys) {
  keys.push_back(
      joined(bind<&RunConfig::device, &DeviceSection::kind>(),
             {.path = "device.kind",
              .type = Type::kChoice,
              .choices = names_of<DeviceKindChoice>(),
              .documentation = "`auto` takes a GPU where the build and the machine have one."}));
  keys.push_back(
      joined(bind<&RunConfig::device, &DeviceSection::index>(),
             {.path = "device.index",
              .type = Type::kInteger,
              .range = {0, 1023},
              .documentation = "Which GPU, where there are several, counted among those that CUDA "
                               "sees (`CUDA_VISIBLE_DEVICES`)."}));
  keys.push_back(joined(
      bind<&RunConfig::device, &DeviceSection::threads>(),
      {.path = "device.threads",
       .type = Type::kInteger,
       .range = {0, 4096},
       .documentation = "Threads of the CPU's work; 0 takes all cores that this process may use. "
                        "The results do not depend on it."}));
  keys.push_back(joined(
      bind<&RunConfig::precision>(),
      {.path = "precision",
       .type = Type::kChoice,
       .choices = names_of<Precision>(),
       .documentation =
           "The numbers of activations and products. All but `float32` need a GPU. `tfloat32` "
           "rounds "
           "the factors of products only; `bfloat16` and `float16` keep float32 master weights, "
           "`float16` with a loss scale that follows the gradients."}));
  keys.push_back(joined(
      bind<&RunConfig::attention>(),
      {.path = "attention",
       .type = Type::kChoice,
       .choices = names_of<AttentionChoice>(),
       .documentation =
           "Which kernels compute attention in training on a GPU: `flash`, ours in tiles; `cudnn`, "
           "NVIDIA's library where it is installed (16-bit numbers, `model.dropout: 0`); `naive`, "
           "ours row by row, slow, to check the others. `auto` is `flash`. Another choice changes "
           "the last bits. The CPU has one kind."}));
}

}  // namespace

void add_run_rows(std::vector<Key>& keys) {
  add_run(keys);
  add_device(keys);
}

}  // namespace ovid::config
