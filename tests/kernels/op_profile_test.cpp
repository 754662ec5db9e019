#include "kernels/common/op_profile.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "kernels/common/errors.h"
#include "kernels/cpu/machine_peak.h"
#include "kernels/gelu/gelu.h"
#include "kernels/linear/linear.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"
#include "tests/test_files.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

std::size_t occurrences(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void run_gelu(OpProfile& profile, std::int64_t rows) {
  const Tensor in = Tensor::random({rows, 8}, 1);
  Tensor out(DType::kFloat32, in.shape());
  run_op(1, [&](ExecutionContext& ctx) {
    ctx.set_profile(&profile);
    gelu_forward(ctx, {.in = in, .out = out});
  });
}

}  // namespace

TEST_CASE("a profile sums the calls of one op and one shape", "[kernels]") {
  OpProfile profile;
  profile.add("gelu_forward", "2x8", 0.5, {.flops = 10, .bytes = 100});
  profile.add("gelu_forward", "3x8", 0.25, {.flops = 1, .bytes = 2});
  profile.add("gelu_forward", "2x8", 0.25, {.flops = 10, .bytes = 100});
  REQUIRE(profile.entries().size() == 2);
  const OpProfile::Entry& first = profile.entries()[0];
  CHECK(first.calls == 2);
  CHECK(first.seconds == 0.75);
  CHECK(first.cost.flops == 20);
  CHECK(first.cost.bytes == 200);
  CHECK(profile.entries()[1].shape == "3x8");
  profile.clear();
  CHECK(profile.entries().empty());
}

TEST_CASE("ops add their calls to the context's profile, by shape, and a dry run adds none",
          "[kernels]") {
  OpProfile profile;
  run_gelu(profile, 4);  // run_op runs dry first
  run_gelu(profile, 4);
  run_gelu(profile, 5);
  REQUIRE(profile.entries().size() == 2);
  const OpProfile::Entry& entry = profile.entries()[0];
  CHECK(entry.name == "gelu_forward");
  CHECK(entry.shape == "4x8");
  CHECK(entry.calls == 2);
  CHECK(entry.seconds > 0.0);
  CHECK(entry.cost.bytes == 2 * 4 * 8 * 8);  // two calls; 32 elements; read and written
}

TEST_CASE("a linear layer is one entry with the operations of its products", "[kernels]") {
  const Tensor in = Tensor::random({4, 3}, 1), weight = Tensor::random({3, 5}, 2);
  const Tensor d_out = Tensor::random({4, 5}, 3);
  Tensor d_in(DType::kFloat32, in.shape()), d_weight(DType::kFloat32, weight.shape());
  OpProfile profile;
  run_op(2, [&](ExecutionContext& ctx) {
    ctx.set_profile(&profile);
    linear_backward(ctx, {.d_out = d_out,
                          .in = in,
                          .weight = weight,
                          .d_in = d_in,
                          .d_weight = d_weight,
                          .d_weight_mode = GradientMode::kOverwrite});
  });
  REQUIRE(profile.entries().size() == 1);
  CHECK(profile.entries()[0].name == "linear_backward");
  CHECK(profile.entries()[0].shape == "4x3x5");
  CHECK(profile.entries()[0].cost.flops == 2 * 2 * 4 * 3 * 5);
  CHECK(profile.entries()[0].cost.bytes == 4 * (4 * 5 + 2 * 4 * 3 + 2 * 3 * 5));
}

TEST_CASE("operands that do not fit leave no trace in the profile", "[kernels]") {
  const Tensor in = Tensor::random({2, 8}, 1);
  Tensor out(DType::kFloat32, Shape{2, 7});
  OpProfile profile;
  ScratchArena scratch;
  ExecutionContext ctx(DeviceKind::kCpu, 1, scratch);
  ctx.set_profile(&profile);
  CHECK_THROWS_AS(gelu_forward(ctx, {.in = in, .out = out}), ShapeError);
  CHECK(profile.entries().empty());
}

TEST_CASE("every entry of every op has its scope in the profile", "[kernels]") {
  int ops = 0;
  for (const auto& folder :
       std::filesystem::directory_iterator(ovid::test::source_directory() / "kernels")) {
    const std::string name = folder.path().filename().string();
    const std::string text = text_of(folder.path() / (name + ".cpp"));
    if (text.find("case DeviceKind::kCpu:") == std::string::npos) continue;
    INFO(name);
    ++ops;
    CHECK(occurrences(text, "const OpScope scope") == occurrences(text, "case DeviceKind::kCpu:"));
  }
  CHECK(ops >= 10);
}

TEST_CASE("the machine's peak is measured on any number of threads, and wrong settings are told",
          "[kernels][cpu]") {
  for (const int threads : {1, 3}) {
    const cpu::MachinePeak peak = cpu::measure_machine_peak(threads, 0.005);
    CHECK(peak.flops_per_second > 1e8);
    CHECK(peak.bytes_per_second > 1e7);
  }
  CHECK_THROWS_AS(cpu::measure_machine_peak(0), DeviceError);
  CHECK_THROWS_AS(cpu::measure_machine_peak(1, 0.0), DeviceError);
}

}  // namespace ovid::kernels
