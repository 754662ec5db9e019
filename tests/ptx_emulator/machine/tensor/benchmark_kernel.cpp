#include "tests/ptx_emulator/machine/tensor/benchmark_kernel.h"

namespace ptx_emulator {

std::string product_kernel(const std::string& type) {
  std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".visible .entry products(.param .u32 rounds, .param .u64 out)\n{\n"
      ".reg .pred %more;\n.reg .b32 %n, %t, %a<4>, %b<2>;\n.reg .b64 %at, %to;\n.reg .f32 %d<32>;\n"
      "ld.param.u32 %n, [rounds];\nld.param.u64 %to, [out];\n";
  // One in both types' bits of the upper half; the rest of the words is a small number.
  for (int i = 0; i < 4; ++i) text += "mov.b32 %a" + std::to_string(i) + ", 0x3C003C00;\n";
  for (int i = 0; i < 2; ++i) text += "mov.b32 %b" + std::to_string(i) + ", 0x3C003C00;\n";
  for (std::uint32_t i = 0; i < 4 * kProductsPerRound; ++i) {
    text += "mov.f32 %d" + std::to_string(i) + ", 0f00000000;\n";
  }
  text += "LOOP:\n";
  for (std::uint32_t i = 0; i < kProductsPerRound; ++i) {
    std::string d = "{";
    for (std::uint32_t j = 0; j < 4; ++j) {
      d += (j == 0 ? "%d" : ", %d") + std::to_string(4 * i + j);
    }
    d += "}";
    text += "mma.sync.aligned.m16n8k16.row.col.f32." + type + "." + type + ".f32 " + d +
            ", {%a0, %a1, %a2, %a3}, {%b0, %b1}, " + d + ";\n";
  }
  text +=
      "sub.u32 %n, %n, 1;\nsetp.ne.u32 %more, %n, 0;\n@%more bra LOOP;\n"
      "mov.u32 %t, %ctaid.x;\nmov.u32 %n, %ntid.x;\nmul.lo.u32 %t, %t, %n;\n"
      "mov.u32 %n, %tid.x;\nadd.u32 %t, %t, %n;\nmul.wide.u32 %at, %t, 16;\n"
      "add.u64 %at, %at, %to;\n";
  // Each product's sums reach the store, so that none can be left out.
  for (std::uint32_t i = 1; i < kProductsPerRound; ++i) {
    for (std::uint32_t j = 0; j < 4; ++j) {
      const std::string to = "%d" + std::to_string(j);
      text += "add.f32 " + to + ", " + to + ", %d" + std::to_string(4 * i + j) + ";\n";
    }
  }
  return text + "st.global.v4.f32 [%at], {%d0, %d1, %d2, %d3};\nret;\n}\n";
}

}  // namespace ptx_emulator
