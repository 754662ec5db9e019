#pragma once

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
};

// Versions, machine and build, as one JSON object: what a result may depend on.
std::string environment_json(const RunPlan& plan);

}  // namespace ovid::training
