// Kernels of the kinds that training uses, as nvcc compiled them: right under three schedules with
// every check on, and without any report.

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/emulated.h"

namespace ptx_emulator::test {

TEST_CASE("own kernels are right under three seeds with all checks on", "[ptx]") {
  struct Case {
    const char* program;
    const char* device;
  };
  const Case one = GENERATE(Case{"vector_add", "a100"}, Case{"reductions", "a100"},
                            Case{"layernorm_bf16", "a100"}, Case{"attention_mma", "a100"},
                            Case{"attention_mma", "h100"}, Case{"hopper_matmul", "h100"},
                            Case{"cluster_reduction", "h100"});
  const auto path = program(one.program);
  if (!path) return;
  for (const char* seed : {"0", "1", "20261122"}) {
    const auto result = run_emulated(
        {path->string()}, {std::string("PTX_EMULATOR_DEVICE=") + one.device,
                           std::string("PTX_EMULATOR_SEED=") + seed, "PTX_EMULATOR_CHECK=all"});
    CAPTURE(one.program, one.device, seed, result.output, result.errors);
    CHECK(result.exit_code == 0);
    CHECK(result.errors.empty());
  }
}

TEST_CASE("functions compiled for host and device give the same bits", "[ptx]") {
  const auto path = program("both_sides");
  if (!path) return;
  for (const char* isa : {"", "avx2"}) {
    const auto result = run_emulated({path->string()}, {std::string("PTX_EMULATOR_ISA=") + isa});
    CAPTURE(isa, result.output, result.errors);
    CHECK(result.exit_code == 0);
    CHECK(result.errors.empty());
  }
}

}  // namespace ptx_emulator::test
