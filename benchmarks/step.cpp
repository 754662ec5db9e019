// Times training steps of a GPT-2 on synthetic tokens: forward, loss, backward, gradient norm and
// AdamW. JSON lines in the form that benchmarks/peers/step_time.py reads: {"event": "ready", ...},
// a {"event": "step", "ms", ...} for each step, {"event": "done", "median_ms", "peak_bytes"}. With
// --step-on-input a step is taken for each line of standard input, so that programs can take turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "benchmarks/synthetic_run.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "src/core/file.h"
#include "src/training/training_step.h"

namespace {

using ovid::benchmarks::plan_of;
using ovid::benchmarks::synthetic_batch;

struct Options : ovid::benchmarks::SyntheticRun {
  std::int64_t steps = 10;
  bool step_on_input = false;
};

double peak_bytes() {
  const std::string status = ovid::read_file("/proc/self/status");
  const std::size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0.0 : std::strtod(status.c_str() + at + 6, nullptr) * 1024.0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times training steps of Ovid on synthetic tokens");
  app.add_option("--layers", o.layers);
  app.add_option("--heads", o.heads);
  app.add_option("--width", o.width);
  app.add_option("--vocabulary", o.vocabulary);
  app.add_option("--batch", o.batch);
  app.add_option("--length", o.length);
  app.add_option("--steps", o.steps);
  app.add_option("--threads", o.threads);
  app.add_option("--device", o.device)->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--precision", o.precision)
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  app.add_flag("--step-on-input", o.step_on_input, "take a step for each line of standard input");
  bool json = true;
  app.add_flag("--json", json, "accepted for clarity: the output is always JSON");
  CLI11_PARSE(app, argc, argv);

  const ovid::training::RunPlan plan = plan_of(o);
  ovid::training::TrainingStep step(plan);
  ovid::model::initialise(step.weights(), plan.model, 1);
  step.adopt_weights(0);
  const ovid::data::TokenBatch batch = synthetic_batch(o);
  step.run(batch, 0, 0);  // warm-up: pages of memory, threads, code of the libraries
  fmt::print(
      "{{\"event\":\"ready\",\"program\":\"ovid\",\"threads\":{},\"instruction_set\":\"{}\","
      "\"matrix_products\":\"{}\"}}\n",
      plan.target().threads, ovid::kernels::cpu::instruction_set(),
      ovid::kernels::cpu::gemm_library());
  std::fflush(stdout);
  std::vector<double> milliseconds;
  std::string line;
  for (std::int64_t i = 0; i < o.steps; ++i) {
    if (o.step_on_input && !std::getline(std::cin, line)) break;
    const ovid::training::StepReport report = step.run(batch, i * o.batch, i);
    milliseconds.push_back(report.seconds * 1e3);
    fmt::print(
        "{{\"event\":\"step\",\"step\":{},\"ms\":{:.3f},\"tokens_per_second\":{:.1f},\"loss\":{:."
        "6f}}}\n",
        i, report.seconds * 1e3, static_cast<double>(report.tokens) / report.seconds, report.loss);
    std::fflush(stdout);
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  const double median = milliseconds.empty() ? 0.0 : milliseconds[milliseconds.size() / 2];
  fmt::print("{{\"event\":\"done\",\"median_ms\":{:.3f},\"peak_bytes\":{:.0f}}}\n", median,
             peak_bytes());
  return 0;
}
