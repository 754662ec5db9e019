#include <string>
#include <vector>

#include "src/checkpoint/checkpoint_validity.h"
#include "src/checkpoint/manifest.h"
#include "src/checkpoint/optimizer_parts.h"
#include "src/checkpoint/run_checkpoint.h"
#include "src/core/checksum.h"
#include "src/training/training_state.h"
#include "tests/fuzz/fuzz_target.h"

// A checkpoint of a run. The manifest's own checksum is made right, or every mutation would end at
// it: a hostile file has a right one.
namespace ovid::fuzz {
namespace {

constexpr const char* kStep = "run/checkpoints/step-00000001";

std::string with_right_checksum(std::string_view manifest) {
  constexpr std::string_view kField = "\"checksum\": \"";
  constexpr std::size_t kDigits = 32;
  std::string text(manifest);
  const std::size_t at = text.find(kField);
  if (at == std::string::npos || at + kField.size() + kDigits > text.size()) return text;
  text.replace(at + kField.size(), kDigits, std::string(kDigits, '0'));
  const std::string checksum = checksum_of(std::as_bytes(std::span(text)));
  return text.replace(at + kField.size(), kDigits, checksum);
}

void read_state(const Path& checkpoint) {
  const std::string text = checkpoint::read_state(checkpoint);
  const training::TrainingState state = training::training_state_from_json(text, "state.json");
  if (training::training_state_from_json(training::to_json(state), "again") != state)
    fail("a training state is another one when it is written and read again");
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  const auto sections = split_sections(input);
  empty_folder();
  for (const char* name : {"config.json", "model.safetensors", "optimizer-00000.safetensors",
                           "optimizer-00001.safetensors", "state.json", "average/config.json",
                           "average/model.safetensors"}) {
    if (sections.count(name) != 0)
      write_file(std::string(kStep) + "/" + name, section(sections, name));
  }
  const Path manifest_path = write_file(std::string(kStep) + "/manifest.json",
                                        with_right_checksum(section(sections, "manifest.json")));
  const Path checkpoint = manifest_path.parent_path();

  refuses([&] {
    const checkpoint::Manifest manifest = checkpoint::read_manifest(checkpoint);
    for (const auto& problem :
         checkpoint::compare_files(checkpoint, manifest, checkpoint::HashCheck::kAllBytes))
      check_message(problem);
  });
  for (const auto& problem :
       checkpoint::checkpoint_problems(checkpoint, 1, checkpoint::HashCheck::kAllBytes))
    check_message(problem);
  for (const auto& problem : checkpoint::verify(checkpoint)) check_message(problem);
  refuses([&] { check_shown(checkpoint::inspect_text(checkpoint)); });
  refuses([&] { check_shown(checkpoint::inspect_json(checkpoint)); });
  refuses([&] { read_state(checkpoint); });
}

}  // namespace ovid::fuzz
