#include "kernels/gelu/gelu_reference.h"
#include "kernels/linear/linear.h"
#include "kernels/linear/linear_reference.h"
#include "tests/catch.h"
#include "tests/kernels/op_checks.h"

namespace ovid::kernels {

using namespace ovid::kernels::test;

TEST_CASE("linear's d_in goes through the GELU before it where that is asked for",
          "[kernels][cpu]") {
  struct Sizes {
    std::int64_t N, K, M;
  };
  for (const auto& [N, K, M] : {Sizes{1, 1, 1}, Sizes{3, 17, 5}, Sizes{65, 129, 33}}) {
    const Tensor in = Tensor::random({N, K}, 21), weight = Tensor::random({K, M}, 22);
    const Tensor d_out = Tensor::random({N, M}, 24);
    const Tensor before = Tensor::random({N, K}, 28, 3.0).padded(K + 3);
    Tensor d_in(DType::kFloat32, {N, K}), d_weight = Tensor::random({K, M}, 26);
    run_op(2, [&](ExecutionContext& ctx) {
      linear_backward(ctx, {.d_out = d_out,
                            .in = in,
                            .weight = weight,
                            .d_in = d_in,
                            .d_weight = d_weight,
                            .before = before});
    });
    const std::vector<double> d = d_out.values(), x = in.values(), w = weight.values();
    const std::vector<double> u = before.values();
    std::vector<double> d_x(u.size()), d_w(w.size()), d_u(u.size());
    reference::linear_backward<double>(d.data(), x.data(), {w.data(), M, 1}, d_x.data(), d_w.data(),
                                       nullptr, N, K, M);
    reference::gelu_backward(d_x.data(), u.data(), d_u.data(), static_cast<std::int64_t>(u.size()));
    check_close("linear_backward d_in", d_in, d_u, tolerance(DType::kFloat32, M));
  }
}

}  // namespace ovid::kernels
