#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/training/run_plan.h"

namespace ovid::training {

// Where the files of a run lie; architecture.md, "A run and its directory".
struct RunDirectory {
  Path root;
  Path config() const { return root / "config.yaml"; }
  Path metrics() const { return root / "metrics.jsonl"; }
  Path log() const { return root / "log.txt"; }
  Path environment() const { return root / "environment.json"; }
  Path tokenizer() const { return root / "tokenizer"; }
  Path samples() const { return root / "samples"; }
  Path checkpoints() const { return root / "checkpoints"; }
  Path choices() const { return root / "choices.json"; }
  Path starts() const { return root / "starts.json"; }
  Path profile() const { return root / "profile.json"; }
};

// What the program chose because the config left it open, and a resumed run must keep.
struct RunChoices {
  std::optional<std::int64_t> micro_sequences;  // of `batch.micro_sequences: auto`
};
RunChoices read_choices(const RunDirectory& directory);  // empty where there are none
void write_choices(const RunDirectory& directory, const RunChoices& choices);

// Versions, machine and build, as one JSON object: what a result may depend on.
std::string environment_json(const RunPlan& plan);

}  // namespace ovid::training
