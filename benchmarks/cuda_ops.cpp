// Runs a CUDA op at GPT-2's widths: once, for the PTX emulator's counters or a profiler, or many
// times with timings.
//   benchmark_cuda_ops --op attention_forward --tokens 1024
//   benchmark_cuda_ops --repeat 50 --tokens 65536           all ops, a line of JSON each
// benchmarks/static/counters.py runs it at two sizes and holds bytes and instructions against the
// ideal; benchmarks/gpu_report.sh times it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "benchmarks/cuda_op_cases.h"
#include "kernels/common/op_profile.h"
#include "src/core/stopwatch.h"
#include "src/memory/execution.h"
#include "src/memory/open_target.h"
#include "src/memory/transfer.h"

namespace ovid::benchmarks {
namespace {

struct Settings {
  std::string op;
  std::string dtype = "bfloat16";
  std::int64_t tokens = 1024;
  int repeat = 0;
};

std::size_t scratch_of(const Call& call) {
  kernels::ScratchArena measured;
  ExecutionContext dry = ExecutionContext::dry_run(kernels::DeviceKind::kCuda, 1, measured);
  call(dry);
  return measured.high_water();
}

// Seconds of one call: many are enqueued, and the host waits once.
double seconds_of(const memory::ComputeTarget& target, ExecutionContext& ctx, const Call& call,
                  int repeat) {
  for (int i = 0; i < 3; ++i) call(ctx);
  memory::synchronize(target.device);
  const Stopwatch stopwatch;
  for (int i = 0; i < repeat; ++i) call(ctx);
  memory::synchronize(target.device);
  return stopwatch.seconds() / repeat;
}

void run_op(const memory::ComputeTarget& target, const std::string& name,
            const Settings& settings) {
  const DType dtype = settings.dtype == "float32" ? DType::kFloat32 : DType::kBfloat16;
  Operands operands(target, settings.tokens, dtype);
  const Call call = cuda_ops().at(name)(operands);
  memory::Execution execution(target.device, 1, scratch_of(call));
  ExecutionContext& ctx = execution.context();
  kernels::OpProfile profile;
  ctx.set_profile(&profile);
  call(ctx);
  ctx.set_profile(nullptr);
  memory::synchronize(target.device);
  if (settings.repeat == 0) return;
  kernels::OpCost cost;
  for (const kernels::OpProfile::Entry& entry : profile.entries()) {
    cost.flops += entry.cost.flops;
    cost.bytes += entry.cost.bytes;
  }
  const double seconds = seconds_of(target, ctx, call, settings.repeat);
  fmt::print(
      "{{\"op\": \"{}\", \"dtype\": \"{}\", \"tokens\": {}, \"milliseconds\": {:.5f}, "
      "\"gigabytes_per_second\": {:.1f}, \"teraflops\": {:.2f}}}\n",
      name, settings.dtype, settings.tokens, 1e3 * seconds, cost.bytes / seconds / 1e9,
      cost.flops / seconds / 1e12);
  std::fflush(stdout);
}

void run(const Settings& settings) {
  const memory::OpenTarget open = memory::open_target({.device = memory::DeviceRequest::kCuda});
  for (const auto& [name, prepare] : cuda_ops()) {
    if (settings.op.empty() || settings.op == name) run_op(open.target, name, settings);
  }
}

}  // namespace
}  // namespace ovid::benchmarks

int main(int argc, char** argv) {
  CLI::App app("Runs CUDA ops at GPT-2's widths, once or with timings.");
  ovid::benchmarks::Settings settings;
  bool list = false;
  app.add_option("--op", settings.op, "one op of --list; all where it is left out");
  app.add_option("--tokens", settings.tokens, "a multiple of 1024")
      ->check(CLI::Range(1024, 1 << 20))
      ->capture_default_str();
  app.add_option("--dtype", settings.dtype)
      ->check(CLI::IsMember({"float32", "bfloat16"}))
      ->capture_default_str();
  app.add_option("--repeat", settings.repeat, "timed calls; 0: one call, untimed")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--list", list, "the names of the ops");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const auto& [name, prepare] : ovid::benchmarks::cuda_ops()) std::puts(name.c_str());
    return 0;
  }
  if (!settings.op.empty() && ovid::benchmarks::cuda_ops().count(settings.op) == 0) {
    std::fprintf(stderr, "benchmark_cuda_ops: no op %s; --list names them\n", settings.op.c_str());
    return 2;
  }
  try {
    ovid::benchmarks::run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "benchmark_cuda_ops: %s\n", error.what());
    return 6;
  }
  return 0;
}
