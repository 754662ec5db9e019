#include "src/selftest/selftest.h"

#include <cmath>

#include "src/selftest/bench.h"
#include "tests/catch.h"

namespace ovid::selftest {

namespace {

const memory::ComputeTarget kCpu{.threads = 2};

// Doubles its input, or so it should.
template <class Spoil>
Bench doubled(Spoil&& spoil) {
  Bench bench(kCpu, DType::kFloat32, 1);
  const auto in = bench.random({5, 7});
  const auto out = bench.unwritten({5, 7});
  int run = 0;
  bench.run([&](kernels::ExecutionContext& ctx) {
    if (ctx.only_measures()) return;
    for (std::int64_t i = 0; i < 35; ++i) {
      out.view.data<float>()[i] = 2 * in.view.data<float>()[i];
    }
    spoil(out.view.data<float>(), run++);
  });
  Doubles expected = in.values;
  for (double& x : expected) x *= 2;
  bench.compare("out", out, expected, rounding_limit(DType::kFloat32, 1));
  return bench;
}

}  // namespace

TEST_CASE("the self-test passes on the CPU", "[selftest]") {
  int told = 0;
  const auto results = run(kCpu, {.quick = true}, [&](const CheckResult&) { ++told; });
  INFO(to_text(results, {}));
  CHECK(all_passed(results));
  CHECK(results.size() > 20);
  CHECK(told == static_cast<int>(results.size()));
}

TEST_CASE("the self-test sees one wrong element, a missing one, and bits that do not repeat",
          "[selftest]") {
  const Bench right = doubled([](float*, int) {});
  CHECK_FALSE(right.worst().beyond());
  CHECK(right.repeats());
  const Bench wrong = doubled([](float* out, int) { out[17] *= 1.0001f; });
  CHECK(wrong.worst().beyond());
  const Bench missing = doubled([](float* out, int) { out[34] = NAN; });
  CHECK(missing.worst().beyond());
  // Within the limit, but another number the second time.
  const Bench unsteady = doubled([](float* out, int run) {
    if (run == 1) out[3] = std::nextafter(out[3], 100.0f);
  });
  CHECK_FALSE(unsteady.worst().beyond());
  CHECK_FALSE(unsteady.repeats());
}

TEST_CASE("the self-test's report names what failed and what to send", "[selftest]") {
  const CheckResult good{.name = "gelu", .numbers = "float32", .size = "small"};
  const CheckResult bad{.name = "linear",
                        .numbers = "bfloat16",
                        .size = "gpt2",
                        .outcome = Outcome::kFailed,
                        .worst = "d_in",
                        .error = 1,
                        .limit = 0.1};
  const std::string text = to_text({good, bad}, {"a device"});
  CHECK(text.find("1 of 2 checks passed") != std::string::npos);
  CHECK(text.find("FAILED") != std::string::npos);
  CHECK(text.find("a device") != std::string::npos);
  CHECK(text.find("ovid doctor") != std::string::npos);
  CHECK(to_text({good}, {}).find("report") == std::string::npos);
  CHECK(to_json({good, bad}, {}).find("\"failed\":1") != std::string::npos);
}

}  // namespace ovid::selftest
