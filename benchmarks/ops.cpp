// Times every op by itself, forward and backward, at the shapes of a GPT-2 124M step (B = 4,
// T = 256) and of a small model (4 layers, 128 wide, 65 tokens, B = 12, T = 64), on one thread and
// on all. Counters: GFLOP/s and GB/s of what the op has to do at least (OpCost), and
// `share_percent`, the part of the machine's limit that it reaches: the larger of flops / peak and
// bytes / bandwidth, over the time. The 124M operands take turns in more memory than caches keep,
// as in a training step; the small ones stay in the cache, where bandwidth is no limit and shares
// may pass 100.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/op_cases.h"
#include "kernels/common/op_profile.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/machine_peak.h"
#include "kernels/cpu/parallel_for.h"
#include "src/core/stopwatch.h"
#include "src/memory/execution.h"

namespace {

using ovid::benchmarks::OpCase;
using ovid::benchmarks::ReadyOp;
using ovid::benchmarks::StepShape;
using ovid::kernels::DeviceKind;
using ovid::kernels::ExecutionContext;
using ovid::kernels::OpCost;
using ovid::kernels::OpProfile;
using ovid::kernels::cpu::MachinePeak;
using ovid::memory::Arena;

struct Setting {
  StepShape shape;
  std::size_t bytes_in_turn;  // of operands; one set of them where they are larger
};

std::size_t scratch_bytes(const OpCase& op, int threads) {
  Arena arena("measure");
  ovid::kernels::ScratchArena scratch;
  auto ctx = ExecutionContext::dry_run(DeviceKind::kCpu, threads, scratch);
  op.prepare(arena).call(ctx);
  return scratch.high_water();
}

// A linear congruential generator of 31 bits: cheap beside the ops, and no page stays unwritten.
class Numbers {
 public:
  std::uint32_t next() { return state_ = (state_ * 1103515245u + 12345u) & 0x7FFFFFFFu; }

 private:
  std::uint32_t state_ = 1;
};

// An op with operands and scratch, called on one set of operands after the other.
class PreparedOp {
 public:
  PreparedOp(const OpCase& op, const Setting& setting, int threads)
      : arena_(op.name, bytes_of(op, setting.bytes_in_turn)),
        execution_(nullptr, threads, scratch_bytes(op, threads)) {
    const std::size_t one = bytes_of(op, 0);
    while (arena_.used_bytes() == 0 || arena_.used_bytes() + one <= setting.bytes_in_turn)
      sets_.push_back(op.prepare(arena_));
    Numbers numbers;
    const ovid::kernels::View all = arena_.flat(ovid::kernels::DType::kFloat32);
    float* values = all.data<float>();
    for (std::int64_t i = 0; i < all.elements(); ++i)
      values[i] = static_cast<float>(numbers.next()) * 0x1p-31f;
    for (const ReadyOp& set : sets_) {
      for (const ovid::kernels::View& tokens : set.tokens) {
        for (std::int64_t i = 0; i < tokens.elements(); ++i) {
          tokens.data<std::int32_t>()[i] = static_cast<std::int32_t>(
              (numbers.next() >> 8) % static_cast<std::uint32_t>(setting.shape.V));
        }
      }
    }
    for (const ReadyOp& set : sets_) {
      for (const auto& [view, value] : set.constants)
        std::fill_n(view.data<float>(), view.elements(), value);
    }
    OpProfile profile;
    execution_.context().set_profile(&profile);
    call();
    execution_.context().set_profile(nullptr);
    cost_ = profile.entries().at(0).cost;
  }

  void call() { sets_[turn_++ % sets_.size()].call(execution_.context()); }
  OpCost cost() const { return cost_; }

 private:
  static std::size_t bytes_of(const OpCase& op, std::size_t bytes_in_turn) {
    const std::size_t one =
        ovid::memory::measure([&](Arena& arena) { static_cast<void>(op.prepare(arena)); });
    return std::max<std::size_t>(1, bytes_in_turn / one) * one;
  }

  Arena arena_;
  ovid::memory::Execution execution_;
  std::vector<ReadyOp> sets_;
  std::size_t turn_ = 0;
  OpCost cost_;
};

void time_op(benchmark::State& state, const OpCase& op, const Setting& setting, int threads,
             const MachinePeak& peak) {
  // The library calls this several times to choose the number of iterations; the operands of the
  // last op are kept, for filling them takes longer than timing.
  static std::unique_ptr<PreparedOp> kept;
  static std::string kept_name;
  const std::string name = setting.shape.name + op.name + std::to_string(threads);
  if (kept_name != name) {
    kept.reset();
    kept = std::make_unique<PreparedOp>(op, setting, threads);
    kept_name = name;
  }
  const ovid::Stopwatch stopwatch;
  for (auto iteration : state) kept->call();
  const double calls_per_second = static_cast<double>(state.iterations()) / stopwatch.seconds();
  const OpCost cost = kept->cost();
  const double least_seconds =
      std::max(cost.flops / peak.flops_per_second, cost.bytes / peak.bytes_per_second);
  // Plain numbers: behind the library's own rates stands a "/s" more.
  state.counters["GFLOP/s"] = cost.flops * 1e-9 * calls_per_second;
  state.counters["GB/s"] = cost.bytes * 1e-9 * calls_per_second;
  state.counters["share_percent"] = 100 * least_seconds * calls_per_second;
}

void register_ops(const Setting& setting, const std::map<int, MachinePeak>& peaks) {
  for (const OpCase& op : ovid::benchmarks::op_cases(setting.shape)) {
    for (const auto& [threads, peak] : peaks) {
      const std::string name =
          setting.shape.name + "/" + op.name + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(
          name.c_str(),
          [op, setting, threads = threads, peak = peak](benchmark::State& state) {
            time_op(state, op, setting, threads, peak);
          })
          ->UseRealTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::map<int, MachinePeak> peaks;
  for (const int threads : {1, ovid::kernels::cpu::available_threads()}) {
    peaks[threads] = ovid::kernels::cpu::measure_machine_peak(threads, 0.3);
    std::fprintf(stderr, "%d threads: peak %.1f GFLOP/s, %.1f GB/s\n", threads,
                 peaks[threads].flops_per_second * 1e-9, peaks[threads].bytes_per_second * 1e-9);
  }
  std::fprintf(stderr, "instruction set %s, matrix products by %s\n",
               ovid::kernels::cpu::instruction_set().c_str(), ovid::kernels::cpu::gemm_library());
  register_ops({.shape = {.name = "gpt2-124m",
                          .B = 4,
                          .T = 256,
                          .C = 768,
                          .H = 12,
                          .V = 50257,
                          .parameters = 124439808,
                          .logits_rows = 320},
                .bytes_in_turn = std::size_t{256} << 20},
               peaks);
  register_ops({.shape = {.name = "small",
                          .B = 12,
                          .T = 64,
                          .C = 128,
                          .H = 4,
                          .V = 65,
                          .parameters = 809984,
                          .logits_rows = 768},
                .bytes_in_turn = 0},
               peaks);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
