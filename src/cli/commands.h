#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/evaluation/task.h"

// The commands of `ovid`, each with its options as parsed. Data goes to standard output, messages
// to standard error. They throw the errors of src/core/error.h.
namespace ovid::cli {

// Where a command computes, and in which numbers.
struct DeviceOptions {
  std::string device = "auto";        // auto | cpu | cuda
  int index = 0;                      // of the CUDA device
  int threads = 0;                    // CPU threads; 0: all cores of this process
  std::string precision = "float32";  // float32 | bfloat16 | float16
};

struct TrainOptions {
  std::string config;
  std::vector<std::string> overrides;  // "key=value"
  int processes = 1;                   // local ranks
  int restarts = 0;                    // of all ranks, after a failure; with several processes
  bool profile = false;                // time every op
};
ExitCode run_train(const TrainOptions& options);

struct PlanOptions {
  std::string config;
  std::vector<std::string> overrides;
  int processes = 1;       // of the run, all on this machine
  bool no_timing = false;  // leave the measurement of speed out
  bool json = false;
};
ExitCode run_plan(const PlanOptions& options);

struct SimulateOptions {
  std::string config;
  std::vector<std::string> overrides;
  int ranks = 1024;
  std::int64_t steps = 3;
  double latency_us = 10;
  double bandwidth_gb = 50;  // per second, out of each rank
  double teraflops = 200;    // per second, of each rank
  double disk_gb = 2;        // per second, of all ranks
  double failure_hours = 50'700;
  double repair_minutes = 15;
  double interval_minutes = 0;  // 0: chosen
  bool json = false;
};
ExitCode run_simulate(const SimulateOptions& options);

struct GenerateOptions {
  std::string model;
  std::optional<std::string> prompt;
  std::string prompt_ids;    // "1,2,3"
  std::string prompts;       // a file with a prompt on each line, "-" for standard input
  bool jsonl = false;        // the lines are JSON objects with a "prompt"
  std::optional<int> stars;  // a review of so many
  std::string category;      // of the product; empty: the only one that the model knows
  std::string headline;      // of the review; empty: the model writes it
  std::optional<std::int64_t> max_new_tokens;  // absent: 64, of reviews 256
  double temperature = 1.0;
  std::int64_t top_k = 0;
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::vector<std::string> stop;      // texts that end a sample
  std::optional<std::uint64_t> seed;  // absent: drawn, and printed
  std::int64_t samples = 1;           // of each prompt; 0: without end
  std::int64_t batch = 0;             // samples decoded together; 0: chosen
  DeviceOptions device;
  bool json = false;
};
ExitCode run_generate(const GenerateOptions& options);

struct ChatOptions {
  std::string model;
  std::string persona;          // a file with a trait on each line; empty: none
  std::string format = "auto";  // auto | persona-chat | plain
  std::int64_t history = -1;    // utterances that the model sees; -1: all that fit
  std::string transcript;       // a new file for the conversation; empty: none
  bool show_layout = false;
  std::int64_t max_new_tokens = 64;
  double temperature = 0.8;
  std::int64_t top_k = 0;
  double top_p = 0.9;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::optional<std::uint64_t> seed;  // absent: drawn, and printed
  DeviceOptions device;
  bool json = false;
};
ExitCode run_chat(const ChatOptions& options);

struct EvalOptions {
  std::string model;
  std::vector<std::string> data;
  std::int64_t length = 0;  // 0: the model's context
  std::string task;         // empty: the loss on token shards
  evaluation::TaskSettings settings;
  std::vector<std::string> output;  // files for a task's report
  DeviceOptions device;
  bool json = false;
};
ExitCode run_eval(const EvalOptions& options);
ExitCode run_eval_task(const EvalOptions& options);

struct CheckpointOptions {
  std::string directory;
  bool json = false;
};
ExitCode run_checkpoint_verify(const CheckpointOptions& options);
ExitCode run_checkpoint_inspect(const CheckpointOptions& options);
ExitCode run_checkpoint_list(const CheckpointOptions& options);  // `directory` is a run
ExitCode run_checkpoint_pin(const CheckpointOptions& options);
ExitCode run_checkpoint_unpin(const CheckpointOptions& options);

struct CheckpointExportOptions {
  std::string directory;
  std::string output;                 // a new folder
  std::string precision = "float32";  // float32 | bfloat16 | float16
  int threads = 0;                    // 0: all cores of this process
  bool json = false;
};
ExitCode run_checkpoint_export(const CheckpointExportOptions& options);

struct CheckpointPruneOptions {
  std::string run;
  int keep_last = 3;
  std::int64_t keep_every = 0;
  bool dry_run = false;
  bool json = false;
};
ExitCode run_checkpoint_prune(const CheckpointPruneOptions& options);

struct DoctorOptions {
  std::string directory = "runs";  // where runs will be written
  bool json = false;
};
ExitCode run_doctor(const DoctorOptions& options);

struct SelftestOptions {
  DeviceOptions device;
  bool quick = false;
  std::string only;
  std::uint64_t seed = 1;
  bool json = false;
};
ExitCode run_selftest(const SelftestOptions& options);

struct ConfigOptions {
  std::string key_or_file;
  std::vector<std::string> overrides;
  bool json = false;
};
ExitCode run_config_explain(const ConfigOptions& options);
ExitCode run_config_show(const ConfigOptions& options);
ExitCode run_config_reference();

struct RunsOptions {
  std::string directory = "runs";  // ls: of the runs; show, report: a run's
  std::vector<std::string> runs;   // compare
  bool json = false;
};
ExitCode run_runs_list(const RunsOptions& options);
ExitCode run_runs_show(const RunsOptions& options);
ExitCode run_runs_compare(const RunsOptions& options);
ExitCode run_runs_report(const RunsOptions& options);

struct FlightOptions {
  std::vector<std::string> places;  // dumps, or folders of them
  bool json = false;
};
ExitCode run_distributed_flight(const FlightOptions& options);

}  // namespace ovid::cli
