// Times greedy decoding of a GPT-2 with random weights: a prompt, then new tokens for each of
// --batch samples of different prompts. JSON lines in the form that
// benchmarks/peers/generation_speed.py reads: {"event": "ready", ...}, a {"event": "step", "ms",
// "prompt_ms", "ms_per_token", "weights_gigabytes_per_second", ...} for each generation, {"event":
// "done", "median_ms", "peak_bytes"}. Each token of a batch needs all weights read once: their
// bytes a second, beside what the machine's memory can do, tell how near to that floor decoding is.
// With --step-on-input a generation is made for each line of standard input, so that programs can
// take turns.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include "kernels/cpu/instruction_set.h"
#include "kernels/cpu/parallel_for.h"
#include "src/core/file.h"
#include "src/generation/generator.h"
#include "src/model/parameters.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::int64_t layers = 12, heads = 12, width = 768, vocabulary = 50257, context = 1024, batch = 1,
               prompt = 32, new_tokens = 128, steps = 5;
  int threads = 0;
  bool step_on_input = false;
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The same pseudo-random tokens in every program that is compared: a linear congruential generator
// of 31 bits.
std::vector<std::vector<std::int32_t>> synthetic_prompts(const Options& o) {
  std::uint32_t state = 1;
  std::vector<std::vector<std::int32_t>> prompts(static_cast<std::size_t>(o.batch));
  for (auto& prompt : prompts) {
    for (std::int64_t i = 0; i < o.prompt; ++i) {
      state = (state * 1103515245u + 12345u) & 0x7FFFFFFFu;
      prompt.push_back(
          static_cast<std::int32_t>((state >> 8) % static_cast<std::uint32_t>(o.vocabulary)));
    }
  }
  return prompts;
}

double peak_bytes() {
  const std::string status = ovid::read_file("/proc/self/status");
  const std::size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0.0 : std::strtod(status.c_str() + at + 6, nullptr) * 1024.0;
}

double time_generation(const Options& o, const ovid::generation::GenerationModel& model) {
  const auto prompts = synthetic_prompts(o);
  std::vector<double> per_token;
  double prompt_ms = 0;
  const auto start = Clock::now();
  auto last = start;
  ovid::generation::generate(
      model, prompts,
      {.sampling = {.temperature = 0.0}, .max_new_tokens = o.new_tokens, .batch = o.batch},
      {.on_token = [&](const ovid::generation::Sample& sample) {
        if (sample.prompt > 0) return ovid::generation::AfterToken::kContinue;
        const double ms = milliseconds_since(last);
        last = Clock::now();
        if (sample.tokens.size() == 1) prompt_ms = ms;
        if (sample.tokens.size() > 1) per_token.push_back(ms);
        return ovid::generation::AfterToken::kContinue;
      }});
  const double ms = milliseconds_since(start);
  const double token_ms = median(per_token);
  const auto weight_bytes = 4.0 * static_cast<double>(ovid::model::parameter_count(model.config));
  fmt::print(
      "{{\"event\":\"step\",\"ms\":{:.3f},\"prompt_ms\":{:.3f},\"ms_per_token\":{:.3f},"
      "\"weights_gigabytes_per_second\":{:.1f},\"tokens_per_second\":{:.1f}}}\n",
      ms, prompt_ms, token_ms, token_ms > 0 ? weight_bytes / token_ms * 1e-6 : 0.0,
      static_cast<double>(o.batch * o.new_tokens) / ms * 1e3);
  std::fflush(stdout);
  return ms;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Times decoding with random weights");
  app.add_option("--layers", o.layers);
  app.add_option("--heads", o.heads);
  app.add_option("--width", o.width);
  app.add_option("--vocabulary", o.vocabulary);
  app.add_option("--context", o.context);
  app.add_option("--batch", o.batch, "samples decoded together");
  app.add_option("--prompt", o.prompt, "tokens of each prompt");
  app.add_option("--new-tokens", o.new_tokens);
  app.add_option("--steps", o.steps, "generations");
  app.add_option("--threads", o.threads);
  app.add_flag("--step-on-input", o.step_on_input, "generate for each line of standard input");
  CLI11_PARSE(app, argc, argv);

  const ovid::model::ModelConfig config{.layers = o.layers,
                                        .heads = o.heads,
                                        .width = o.width,
                                        .context_length = o.context,
                                        .vocabulary_size = o.vocabulary};
  ovid::model::ParameterSet weights(config, "weights");
  ovid::model::initialise(weights, config, 1);
  const ovid::generation::GenerationModel model{
      .config = config,
      .weights = weights.views(),
      .target = {.threads = o.threads > 0 ? o.threads : ovid::kernels::cpu::available_threads()}};
  fmt::print(
      "{{\"event\":\"ready\",\"program\":\"ovid\",\"threads\":{},\"instruction_set\":\"{}\","
      "\"parameters\":{}}}\n",
      model.target.threads, ovid::kernels::cpu::instruction_set(),
      ovid::model::parameter_count(config));
  std::fflush(stdout);
  std::vector<double> times;
  std::string line;
  for (std::int64_t i = 0; i < o.steps; ++i) {
    if (o.step_on_input && !std::getline(std::cin, line)) break;
    times.push_back(time_generation(o, model));
  }
  fmt::print("{{\"event\":\"done\",\"median_ms\":{:.3f},\"peak_bytes\":{:.0f}}}\n", median(times),
             peak_bytes());
  return 0;
}
