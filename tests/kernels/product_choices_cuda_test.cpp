#include <cstdlib>
#include <nlohmann/json.hpp>

#include "kernels/common/errors.h"
#include "kernels/linear/linear.h"
#include "tests/catch.h"
#include "tests/kernels/cuda_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

namespace {

using Json = nlohmann::json;

// out += in W with gradients' shapes, from the same numbers each time.
Tensor accumulated_product() {
  const Tensor d_out = rounded_to(DType::kBfloat16, Tensor::random({64, 40}, 1));
  const Tensor in = rounded_to(DType::kBfloat16, Tensor::random({64, 24}, 2));
  const Tensor weight = rounded_to(DType::kBfloat16, Tensor::random({24, 40}, 3));
  Tensor d_weight = Tensor::random({24, 40}, 4);
  CudaRun run;
  const ConstView d = run.input(d_out), x = run.input(in), w = run.input(weight);
  const View dw = run.output(d_weight);
  run.op([&](ExecutionContext& ctx) {
    linear_backward(ctx, {.d_out = d, .in = x, .weight = w, .d_weight = dw});
  });
  run.finish();
  return d_weight;
}

std::string refusal_of(const std::string& json) {
  try {
    cuda_device()->set_product_choices(json);
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

double milliseconds_of_only_product() {
  const Json products = Json::parse(cuda_device()->product_choices()).at("products");
  REQUIRE(products.size() == 1);
  return products.begin()->at("milliseconds").get<double>();
}

}  // namespace

TEST_CASE("a product's algorithm is timed once, leaves what it adds to, and can be given back",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  REQUIRE(unsetenv("OVID_TIME_PRODUCTS") == 0);
  cuda_device()->set_product_choices("{}");
  const Tensor first = accumulated_product();
  CHECK(milliseconds_of_only_product() > 0);
  const std::string chosen = cuda_device()->product_choices();
  CHECK(accumulated_product().same_bits(first));
  CHECK(cuda_device()->product_choices() == chosen);
  cuda_device()->set_product_choices("{}");
  cuda_device()->set_product_choices(chosen);
  CHECK(cuda_device()->product_choices() == chosen);
  CHECK(accumulated_product().same_bits(first));
  CHECK(cuda_device()->product_choices() == chosen);
}

TEST_CASE("the first candidate is taken without timing where that is asked for, or recorded",
          "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  cuda_device()->set_product_choices("{}");
  REQUIRE(setenv("OVID_TIME_PRODUCTS", "0", 1) == 0);
  const Tensor untimed = accumulated_product();
  REQUIRE(unsetenv("OVID_TIME_PRODUCTS") == 0);
  CHECK(milliseconds_of_only_product() == 0);

  cuda_device()->set_product_choices("{}");
  const Tensor in = Tensor::random({8, 16}, 1), weight = Tensor::random({16, 24}, 2);
  Tensor out(DType::kFloat32, {8, 24}), replayed(DType::kFloat32, {8, 24});
  CudaRun run;
  const ConstView x = run.input(in), w = run.input(weight);
  const View y = run.output(replayed);
  ScratchArena none;
  ExecutionContext ctx(*cuda_device(), 1, none);
  cuda_device()->begin_capture();
  linear_forward(ctx, {.in = x, .weight = w, .out = y});
  const std::unique_ptr<cuda::Graph> graph = cuda_device()->end_capture();
  CHECK(milliseconds_of_only_product() == 0);
  cuda_device()->launch(*graph);
  run.finish();
  CudaRun again;
  const ConstView x2 = again.input(in), w2 = again.input(weight);
  const View y2 = again.output(out);
  again.op([&](ExecutionContext& c) { linear_forward(c, {.in = x2, .weight = w2, .out = y2}); });
  again.finish();
  CHECK(out.same_bits(replayed));
}

TEST_CASE("choices of another GPU mean nothing here, damaged ones are refused", "[kernels][cuda]") {
  if (cuda_device() == nullptr) return;
  cuda_device()->set_product_choices("{}");
  accumulated_product();
  const std::string chosen = cuda_device()->product_choices();
  const Json good = Json::parse(chosen);
  const std::string key = good.at("products").begin().key();
  const auto with = [&](const auto& change) {
    Json changed = good;
    change(changed);
    return changed.dump();
  };
  const std::vector<std::pair<std::string, std::string>> damaged = {
      {"", "no JSON"},
      {"[]", "no JSON object"},
      {chosen.substr(0, chosen.size() / 2), "no JSON"},
      {std::string(100000, '['), "no JSON"},
      {std::string((16u << 20) + 1, ' '), "the limit is"},
      {"{\"gpu\": \"x\"}", "no \"capability\""},
      {with([](Json& j) { j["capability"] = -1; }), "whole numbers"},
      {with([](Json& j) { j["products"] = 3; }), "no object"},
      {with([&](Json& j) { j["products"][key] = Json::array(); }), "no \"algorithm\""},
      {with([&](Json& j) { j["products"][key]["algorithm"] = "12"; }), "2 digits"},
      {with([&](Json& j) { j["products"][key]["algorithm"] = std::string(128, 'g'); }),
       "not hexadecimal"},
      {with([&](Json& j) { j["products"][key]["algorithm"] = 5; }), "neither text nor null"},
      {with([&](Json& j) { j["products"][key]["milliseconds"] = -1; }), "milliseconds"}};
  for (const auto& [json, reason] : damaged) {
    INFO(json.substr(0, 200) << " should say: " << reason);
    CHECK(refusal_of(json).find(reason) != std::string::npos);
    CHECK(cuda_device()->product_choices() == chosen);
  }
  CHECK(refusal_of(with([](Json& j) { j["gpu"] = "another"; })).empty());
  CHECK(Json::parse(cuda_device()->product_choices()).at("products").empty());

  cuda_device()->set_product_choices(
      with([&](Json& j) { j["products"][key]["algorithm"] = std::string(128, '0'); }));
  CHECK_THROWS_WITH(accumulated_product(), Catch::Contains("does not fit cuBLASLt"));
  cuda_device()->set_product_choices("{}");
}

}  // namespace ovid::kernels
