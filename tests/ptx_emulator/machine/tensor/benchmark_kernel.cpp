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

std::string group_product_kernel() {
  constexpr std::uint32_t kAccumulators = 64;
  std::string d;
  for (std::uint32_t i = 0; i < kAccumulators; ++i)
    d += (i == 0 ? "{%d" : ", %d") + std::to_string(i);
  d += "}";
  std::string text =
      ".version 8.0\n.target sm_90a\n.address_size 64\n"
      ".visible .entry products(.param .u32 rounds, .param .u64 out)\n{\n"
      ".shared .align 1024 .b8 tiles[24576];\n.reg .pred %more;\n.reg .b32 %n, %t, %s;\n"
      ".reg .b64 %at, %to, %a<4>, %b<4>;\n.reg .f32 %d<64>;\n"
      "ld.param.u64 %to, [out];\nmov.u32 %t, %tid.x;\nshl.b32 %t, %t, 2;\nmov.u32 %s, tiles;\n"
      "add.u32 %s, %s, %t;\nmov.u32 %n, 48;\nFILL:\nst.shared.b32 [%s], 0x3C003C00;\n"
      "add.u32 %s, %s, 512;\nsub.u32 %n, %n, 1;\nsetp.ne.u32 %more, %n, 0;\n@%more bra FILL;\n"
      "bar.sync 0;\nld.param.u32 %n, [rounds];\n"
      // Rows of 128 bytes, swizzled, eight rows each 1024 bytes: descriptors of the first k.
      "mov.u32 %s, tiles;\nshr.u32 %s, %s, 4;\ncvt.u64.u32 %a0, %s;\n"
      "or.b64 %a0, %a0, 0x4000004000010000;\nadd.u64 %b0, %a0, 512;\n";
  for (std::uint32_t i = 1; i < kGroupProducts; ++i) {
    const std::string n = std::to_string(i);
    text += "add.u64 %a" + n + ", %a0, " + std::to_string(2 * i) + ";\nadd.u64 %b" + n + ", %b0, " +
            std::to_string(2 * i) + ";\n";
  }
  for (std::uint32_t i = 0; i < kAccumulators; ++i)
    text += "mov.f32 %d" + std::to_string(i) + ", 0f00000000;\n";
  text += "LOOP:\nwgmma.fence.sync.aligned;\n";
  for (std::uint32_t i = 0; i < kGroupProducts; ++i) {
    const std::string n = std::to_string(i);
    text += "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " + d + ", %a" + n + ", %b" + n +
            ", 1, 1, 1, 0, 0;\n";
  }
  return text +
         "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n"
         "sub.u32 %n, %n, 1;\nsetp.ne.u32 %more, %n, 0;\n@%more bra LOOP;\n"
         "mov.u32 %t, %ctaid.x;\nshl.b32 %t, %t, 7;\nmov.u32 %n, %tid.x;\nadd.u32 %t, %t, %n;\n"
         "mul.wide.u32 %at, %t, 16;\nadd.u64 %at, %at, %to;\n"
         "st.global.v4.f32 [%at], {%d0, %d1, %d2, %d63};\nret;\n}\n";
}

}  // namespace ptx_emulator
