// What this machine can do at best, as JSON lines, on one thread and on all: multiply-adds in
// registers, memory, and the rate of our matrix products over the linear layers of a GPT-2 124M
// step with 1,024 rows, of which the floor of a step follows (docs: what a step takes at least when
// its products run at this rate and everything else at the speed of memory).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/machine_peak.h"
#include "kernels/cpu/parallel_for.h"
#include "src/memory/execution.h"

namespace {

using ovid::kernels::DeviceKind;
using ovid::kernels::ExecutionContext;
using ovid::kernels::cpu::Gemm;
using ovid::kernels::cpu::MachinePeak;

constexpr std::int64_t kRows = 1024;

// A layer y = x W with W (in, out), or (out, in) for the head; `count` of them in the model.
struct Layer {
  const char* name;
  std::int64_t in, out, count;
  bool out_in = false;
};
constexpr Layer kLayers[] = {{"qkv", 768, 2304, 12},
                             {"projection", 768, 768, 12},
                             {"expand", 768, 3072, 12},
                             {"contract", 3072, 768, 12},
                             {"head", 768, 50257, 1, true}};

// Operands that fit every product; the values do not matter, but zeros and denormals might.
struct Operands {
  ovid::memory::Buffer x, weight, y;
  Operands()
      : x(kRows * 3072 * sizeof(float), "operands"),
        weight(std::size_t{50304} * 768 * sizeof(float), "operands"),
        y(kRows * std::size_t{50304} * sizeof(float), "operands") {
    for (ovid::memory::Buffer* buffer : {&x, &weight, &y}) {
      float* values = reinterpret_cast<float*>(buffer->bytes().data());
      for (std::size_t i = 0; i < buffer->bytes().size() / sizeof(float); ++i)
        values[i] = static_cast<float>(i * 2654435761u % 1024) * 0x1p-10f - 0.5f;
    }
  }
};

float* floats(ovid::memory::Buffer& buffer) {
  return reinterpret_cast<float*>(buffer.bytes().data());
}

// The three products of a layer: forward, gradient of the input, gradient of the weight.
Gemm product_of(const Layer& l, int pass, Operands& o) {
  const std::int64_t weight_stride = l.out_in ? l.in : l.out;
  const std::int64_t y_stride = (l.out + 127) / 128 * 128;
  if (pass == 0) {
    return {.transpose_b = l.out_in,
            .m = kRows,
            .n = l.out,
            .k = l.in,
            .a = floats(o.x),
            .lda = l.in,
            .b = floats(o.weight),
            .ldb = weight_stride,
            .c = floats(o.y),
            .ldc = y_stride};
  }
  if (pass == 1) {
    return {.transpose_b = !l.out_in,
            .m = kRows,
            .n = l.in,
            .k = l.out,
            .a = floats(o.y),
            .lda = y_stride,
            .b = floats(o.weight),
            .ldb = weight_stride,
            .c = floats(o.x),
            .ldc = l.in};
  }
  const float *left = floats(l.out_in ? o.y : o.x), *right = floats(l.out_in ? o.x : o.y);
  return {.transpose_a = true,
          .m = l.out_in ? l.out : l.in,
          .n = l.out_in ? l.in : l.out,
          .k = kRows,
          .a = left,
          .lda = l.out_in ? y_stride : l.in,
          .b = right,
          .ldb = l.out_in ? l.in : y_stride,
          .c = floats(o.weight),
          .ldc = weight_stride};
}

double best_seconds(ExecutionContext& ctx, const Gemm& product, int rounds) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const auto start = std::chrono::steady_clock::now();
    gemm(ctx, product);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    best = std::min(best, taken.count());
  }
  return best;
}

std::size_t scratch_bytes(const Gemm& product, int threads) {
  ovid::kernels::ScratchArena scratch;
  auto ctx = ExecutionContext::dry_run(DeviceKind::kCpu, threads, scratch);
  gemm(ctx, product);
  return scratch.high_water();
}

// Seconds of all products of one step.
double time_products(int threads, int rounds, Operands& operands) {
  constexpr const char* kPasses[] = {"forward", "d_in", "d_weight"};
  double seconds = 0.0, flops = 0.0;
  for (const Layer& layer : kLayers) {
    for (int pass = 0; pass < 3; ++pass) {
      const Gemm product = product_of(layer, pass, operands);
      ovid::memory::Execution execution(nullptr, threads, scratch_bytes(product, threads));
      const double taken = best_seconds(execution.context(), product, rounds);
      const double work = 2.0 * kRows * static_cast<double>(layer.in * layer.out);
      fmt::print(
          "{{\"threads\":{},\"layer\":\"{}\",\"pass\":\"{}\",\"ms\":{:.3f},"
          "\"gflops\":{:.1f}}}\n",
          threads, layer.name, kPasses[pass], taken * 1e3, work / taken * 1e-9);
      seconds += static_cast<double>(layer.count) * taken;
      flops += static_cast<double>(layer.count) * work;
    }
  }
  fmt::print(
      "{{\"threads\":{},\"layer\":\"all of a step\",\"gflop\":{:.1f},\"ms\":{:.1f},"
      "\"gflops\":{:.1f}}}\n",
      threads, flops * 1e-9, seconds * 1e3, flops / seconds * 1e-9);
  return seconds;
}

// The parts of a 124M step at B = 4, T = 256 beside its products, each read and written once.
double floor_beside_products(const MachinePeak& peak) {
  constexpr double kParameters = 124439808, kElements = kRows * 768.0, kLayerCount = 12;
  const double adamw = 28 * kParameters, zero = 4 * kParameters, norm = 4 * kParameters;
  // Two residual layernorms a layer, 16 bytes an element forward and 16 backward; GELU reads one
  // and writes one of 4 C forward, and reads two and writes one backward.
  const double rows = kLayerCount * (2 * (16 + 16) + 4 * (8 + 12)) * kElements;
  const double loss = 8.0 * kRows * 50257;
  const double attention_flops = kLayerCount * 7 * 768 * 4 * 256.0 * 257.0;
  return (adamw + zero + norm + rows + loss) / peak.bytes_per_second +
         attention_flops / peak.flops_per_second;
}

void report(int threads, double seconds, int rounds, bool products, Operands* operands) {
  const MachinePeak peak = ovid::kernels::cpu::measure_machine_peak(threads, seconds);
  fmt::print(
      "{{\"threads\":{},\"instruction_set\":\"{}\",\"matrix_products\":\"{}\","
      "\"gflops\":{:.1f},\"gigabytes_per_second\":{:.1f}}}\n",
      threads, ovid::kernels::cpu::instruction_set(), ovid::kernels::cpu::gemm_library(),
      peak.flops_per_second * 1e-9, peak.bytes_per_second * 1e-9);
  if (!products) return;
  const double in_products = time_products(threads, rounds, *operands);
  const double beside = floor_beside_products(peak);
  fmt::print(
      "{{\"threads\":{},\"step\":\"124M, B = 4, T = 256\",\"products_ms\":{:.1f},"
      "\"beside_ms\":{:.1f},\"floor_ms\":{:.1f}}}\n",
      threads, in_products * 1e3, beside * 1e3, (in_products + beside) * 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = ovid::kernels::cpu::available_threads(), rounds = 3;
  double seconds = 0.3;
  bool products = true;
  CLI::App app("Measures what this machine can do at best; JSON lines");
  app.add_option("--threads", threads, "beside one thread; 1 or more")->check(CLI::Range(1, 4096));
  app.add_option("--seconds", seconds, "for each peak")->check(CLI::Range(0.001, 60.0));
  app.add_option("--rounds", rounds, "of each product; the best counts")
      ->check(CLI::Range(1, 1000));
  app.add_flag("--products,!--no-products", products, "time matrix products too");
  CLI11_PARSE(app, argc, argv);

  std::unique_ptr<Operands> operands;
  if (products) operands = std::make_unique<Operands>();
  for (const int count : std::set<int>{1, threads})
    report(count, seconds, rounds, products, operands.get());
  return 0;
}
