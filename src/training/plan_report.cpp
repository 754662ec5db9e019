#include "src/training/plan_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "src/memory/arena.h"
#include "src/memory/machine_memory.h"
#include "src/metrics/progress_line.h"
#include "src/model/operation_count.h"
#include "src/training/batch_size.h"

namespace ovid::training {
namespace {

using memory::readable_bytes;

// The resident memory of this process: program, libraries, and what they hold.
std::size_t resident_bytes() {
  const std::string status = read_file("/proc/self/status");
  const std::size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10) * 1024;
}

// Heaps and stacks of the threads that a run starts (loader, checkpoint writer, the pool) and pages
// of the shards being read: 1 to 3 MiB in measured runs.
constexpr std::size_t kRunOverhead = std::size_t{2} << 20;

// Two batches of tokens and targets (one in use, one being read), and their bytes on the way.
std::size_t loader_bytes(const RunPlan& plan) {
  const auto tokens = static_cast<std::size_t>(plan.config().batch.sequences) *
                      static_cast<std::size_t>(plan.micro_batch.length);
  return 2 * tokens * (sizeof(std::int32_t) + sizeof(std::int32_t));
}

std::size_t free_disk(Path folder) {
  while (!folder.empty() && !std::filesystem::exists(folder)) folder = folder.parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(folder.empty() ? Path(".") : folder, error);
  return error ? 0 : space.available;
}

std::int64_t times_due(std::int64_t every_steps, std::int64_t steps) {
  if (every_steps <= 0) return 0;
  return steps / every_steps + (steps % every_steps != 0 ? 1 : 0);
}

std::int64_t checkpoints_kept(const config::RunConfig& c) {
  const std::int64_t written =
      std::max<std::int64_t>(times_due(c.checkpoint.every_steps, c.training.steps), 1);
  std::int64_t kept = std::min(c.checkpoint.keep_last, written);
  if (c.checkpoint.keep_every > 0) kept += c.training.steps / c.checkpoint.keep_every;
  if (c.checkpoint.initial) ++kept;
  if (c.checkpoint.keep_best && !c.data.validation.empty()) ++kept;
  return std::min(kept, written + 1) + 1;  // the next is on disk before an old one goes
}

void estimate_time(const RunPlan& plan, RunNeeds& needs) {
  const config::RunConfig& c = plan.config();
  needs.speed = estimate_speed(plan);
  const SpeedEstimate& s = *needs.speed;
  const auto sequences = static_cast<double>(c.batch.sequences);
  needs.step_seconds = sequences * s.seconds_a_sequence + s.update_seconds;
  needs.training_seconds =
      static_cast<double>(total_sequences(c.batch, plan.micro_batch.sequences, c.training.steps)) *
          s.seconds_a_sequence +
      static_cast<double>(c.training.steps) * s.update_seconds;
  if (plan.validation) {
    // A forward pass is a third of forward and backward.
    const std::int64_t windows = std::min(
        c.validation.sequences, (plan.validation->total_tokens() - 1) / plan.micro_batch.length);
    needs.validation_seconds =
        static_cast<double>(times_due(c.validation.every_steps, c.training.steps) * windows) *
        s.seconds_a_sequence / 3.0 * (c.weight_average.decay > 0 ? 2.0 : 1.0);
  }
}

const char* number_type(const memory::ComputeTarget& target) {
  return target.tfloat32 ? "tfloat32" : kernels::name_of(target.dtype);
}

// "4 ranks (ZeRO stage 1, canonical order)".
std::string ranks_text(const RunPlan& plan) {
  const char* const order = plan.canonical() ? "canonical order" : "";
  if (plan.ranks.count == 1) return plan.canonical() ? "1 rank (canonical order)" : "1 rank";
  return fmt::format("{} ranks (ZeRO stage {}{}{})", plan.ranks.count,
                     plan.config().distributed.zero_stage, plan.canonical() ? ", " : "", order);
}

// "trained: 7.09M of 124.44M parameters, 5.7 %; frozen: 132 of 148 tensors", with adapters
// "trained: adapters of rank 8, 0.295M of 124.73M parameters, 0.24 %".
std::string trained_text(const model::ModelConfig& m) {
  const auto trained = static_cast<double>(model::trained_parameter_count(m));
  const auto all = static_cast<double>(model::parameter_count(m));
  if (m.low_rank.rank > 0) {
    return fmt::format(
        "trained: adapters of rank {}, {:.3g}M of {:.2f}M parameters, {:.2g} %; the model itself "
        "stays as it is",
        m.low_rank.rank, trained * 1e-6, all * 1e-6, 100 * trained / all);
  }
  return fmt::format("trained: {:.2f}M of {:.2f}M parameters, {:.1f} %; frozen: {} of {} tensors",
                     trained * 1e-6, all * 1e-6, 100 * trained / all, m.frozen.size(),
                     model::describe_tensors(m).size());
}

std::string memory_text(const RunNeeds& needs, int ranks) {
  std::string text = needs.memory.on_gpu ? "memory of the GPU" : "memory";
  text += ranks > 1 ? ", of the first rank\n" : "\n";
  const auto line = [&](const std::string& name, std::size_t bytes) {
    text += fmt::format("  {:<44}{:>14}{:>18}\n", name, readable_bytes(bytes), bytes);
  };
  for (const MemoryPlan::Part& part : needs.memory.parts) line(part.name, part.bytes);
  if (needs.memory.sampling > 0) line("decoder, while a sample is written", needs.memory.sampling);
  if (needs.memory.on_gpu) {
    line("peak", needs.peak_bytes());
    if (needs.available_bytes > 0) line("free on the GPU", needs.available_bytes);
    text += "memory of the host\n";
    line("pinned, for copies", needs.memory.pinned);
  }
  if (needs.memory.snapshot > 0)
    line("copy that checkpoints are written from", needs.memory.snapshot);
  line("program, libraries, batches", needs.process_bytes);
  line("peak", needs.host_peak_bytes());
  if (needs.host_available_bytes > 0)
    line("free on this machine, for a process", needs.host_available_bytes);
  return text;
}

std::string verdict(const RunNeeds& needs) {
  std::string text;
  if (!needs.fits_memory()) {
    text += "does not fit the memory: " +
            (needs.cure.empty() ? "choose a smaller model or a shorter batch.length"
                                : fmt::format("it would with {}", needs.cure)) +
            "\n";
  } else if (needs.host_available_bytes > 0 &&
             needs.host_peak_bytes() > needs.host_available_bytes) {
    text += "fits, but not the copy for asynchronous checkpoints: training will wait for saves\n";
  }
  if (!needs.fits_disk()) {
    text += fmt::format(
        "does not fit the disk: {} of checkpoints, {} free; lower checkpoint.keep_last or choose "
        "another run.directory\n",
        readable_bytes(needs.disk_bytes()), readable_bytes(needs.free_disk_bytes));
  }
  return text.empty() ? "fits\n" : text;
}

}  // namespace

RunNeeds needs_of(const RunPlan& plan, bool measure_speed) {
  const config::RunConfig& c = plan.config();
  RunNeeds needs;
  needs.parameters = model::parameter_count(plan.model);
  needs.trained_parameters = model::trained_parameter_count(plan.model);
  needs.memory = plan_memory(plan);
  // Processes of one machine share its memory; each has a device of its own.
  const auto local = static_cast<std::size_t>(plan.ranks.local_count);
  needs.available_bytes = available_memory(plan) / (needs.memory.on_gpu ? 1 : local);
  needs.host_available_bytes = memory::available_memory() / local;
  const auto parameters = static_cast<std::size_t>(needs.parameters);
  const auto trained = static_cast<std::size_t>(needs.trained_parameters);
  needs.checkpoint_bytes = (c.weight_average.decay > 0 ? 2 : 1) * sizeof(float) * parameters +
                           2 * bytes_of(plan.moment_dtype()) * trained;
  needs.checkpoints_kept = checkpoints_kept(c);
  needs.free_disk_bytes = free_disk(plan.directory);
  needs.steps = c.training.steps;
  needs.tokens_a_step = c.batch.sequences * plan.micro_batch.length;
  const std::int64_t sequences =
      total_sequences(c.batch, plan.micro_batch.sequences, c.training.steps);
  needs.tokens = sequences * plan.micro_batch.length;
  needs.epochs = static_cast<double>(sequences) /
                 static_cast<double>(plan.train->sequences(plan.micro_batch.length));
  needs.flops =
      static_cast<double>(sequences) *
      model::training_operations(plan.model, {.sequences = 1, .length = plan.micro_batch.length})
          .total();
  if (measure_speed && !needs.memory.on_gpu && plan.ranks.count == 1) estimate_time(plan, needs);
  needs.process_bytes = resident_bytes() + loader_bytes(plan) + kRunOverhead;
  if (!needs.fits_memory()) needs.cure = setting_that_fits(plan, needs.available_bytes);
  return needs;
}

std::vector<std::string> describe_run(const RunPlan& plan, const MemoryPlan& memory) {
  const model::ModelConfig& m = plan.model;
  std::vector<std::string> lines = {
      fmt::format("{} layers, {} heads, width {}, context {}, vocabulary {}: {:.2f}M parameters",
                  m.layers, m.heads, m.width, m.context_length, m.vocabulary_size,
                  static_cast<double>(model::parameter_count(m)) * 1e-6),
      fmt::format("{}, {}, {}; {} of {}, {} sequences a pass; {} training tokens, {} a step",
                  plan.compute.description, ranks_text(plan), number_type(plan.target()),
                  readable_bytes(memory.peak()), memory.on_gpu ? "GPU memory" : "memory",
                  plan.micro_batch.sequences, plan.train->total_tokens(),
                  plan.config().batch.sequences * plan.micro_batch.length)};
  if (!m.frozen.empty()) lines.push_back(trained_text(m));
  if (!plan.compute.reason.empty()) {
    lines.push_back(fmt::format("no GPU is used: {}", plan.compute.reason));
  }
  return lines;
}

std::string to_text(const RunPlan& plan, const RunNeeds& needs) {
  const model::ModelConfig& m = plan.model;
  std::string text = fmt::format("device\n  {}, {}; {}\n", plan.compute.description,
                                 number_type(plan.target()), ranks_text(plan));
  text += fmt::format(
      "model\n  {} layers, {} heads, width {}, context {}, vocabulary {}: {} parameters\n"
      "  passes of {} sequences of {} tokens; recomputation: {}; moments of AdamW: {}\n",
      m.layers, m.heads, m.width, m.context_length, m.vocabulary_size, needs.parameters,
      plan.micro_batch.sequences, plan.micro_batch.length,
      plan.keep() == model::Keep::kForBackward    ? "none"
      : plan.keep() == model::Keep::kWithoutCheap ? "cheap"
                                                  : "block",
      kernels::name_of(plan.moment_dtype()));
  if (!m.frozen.empty()) text += "  " + trained_text(m) + "\n";
  text += memory_text(needs, plan.ranks.count);
  text += fmt::format("disk\n  {} a checkpoint, up to {} kept: {}; {} free\n",
                      readable_bytes(needs.checkpoint_bytes), needs.checkpoints_kept,
                      readable_bytes(needs.disk_bytes()), readable_bytes(needs.free_disk_bytes));
  text += fmt::format("work\n  {} steps of {} tokens: {} tokens, {:.2f} epochs; {:.3g} FLOP\n",
                      needs.steps, needs.tokens_a_step, needs.tokens, needs.epochs, needs.flops);
  if (needs.speed) {
    const double total = needs.training_seconds + needs.validation_seconds;
    text += fmt::format(
        "time on this machine, {} threads, measured now\n  {:.3g} s a step, {:.0f} tokens/s, "
        "{:.0f} "
        "GFLOP/s\n  about {} of training and {} of validation (repetitions differed by {:.0f} %)\n",
        plan.target().threads, needs.step_seconds,
        static_cast<double>(needs.tokens_a_step) / needs.step_seconds,
        needs.flops / needs.training_seconds * 1e-9,
        metrics::format_duration(needs.training_seconds),
        metrics::format_duration(total - needs.training_seconds), 100 * needs.speed->spread);
  }
  if (needs.memory.on_gpu) text += "time\n  unknown: Ovid has not measured this GPU\n";
  return text + verdict(needs);
}

std::string to_json(const RunPlan& plan, const RunNeeds& needs) {
  nlohmann::json arenas = nlohmann::json::object();
  for (const MemoryPlan::Part& part : needs.memory.parts) arenas[part.name] = part.bytes;
  nlohmann::json json = {{"parameters", needs.parameters},
                         {"trained_parameters", needs.trained_parameters},
                         {"ranks", plan.ranks.count},
                         {"zero_stage", plan.config().distributed.zero_stage},
                         {"micro_sequences", plan.micro_batch.sequences},
                         {"length", plan.micro_batch.length},
                         {"arenas", arenas},
                         {"sampling_bytes", needs.memory.sampling},
                         {"snapshot_bytes", needs.memory.snapshot},
                         {"pinned_bytes", needs.memory.pinned},
                         {"on_gpu", needs.memory.on_gpu},
                         {"process_bytes", needs.process_bytes},
                         {"host_peak_bytes", needs.host_peak_bytes()},
                         {"peak_bytes", needs.peak_bytes()},
                         {"available_bytes", needs.available_bytes},
                         {"checkpoint_bytes", needs.checkpoint_bytes},
                         {"checkpoints_kept", needs.checkpoints_kept},
                         {"disk_bytes", needs.disk_bytes()},
                         {"free_disk_bytes", needs.free_disk_bytes},
                         {"steps", needs.steps},
                         {"tokens_per_step", needs.tokens_a_step},
                         {"tokens", needs.tokens},
                         {"epochs", needs.epochs},
                         {"flops", needs.flops},
                         {"fits_memory", needs.fits_memory()},
                         {"fits_disk", needs.fits_disk()},
                         {"cure", needs.cure}};
  if (needs.speed) {
    json["step_seconds"] = needs.step_seconds;
    json["training_seconds"] = needs.training_seconds;
    json["validation_seconds"] = needs.validation_seconds;
    json["spread"] = needs.speed->spread;
  }
  return json.dump(2);
}

}  // namespace ovid::training
