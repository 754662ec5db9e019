// The table of matrix instructions.
#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"

namespace ptx_emulator {

std::span<const OpcodeEntry> tensor_opcodes() {
  static constexpr OpcodeEntry kEntries[] = {
      {"mma", tensor::decode_mma,
       "mma.sync.aligned.{m16n8k8,m16n8k16}.row.col.{f32,f16}.f16.f16.{f32,f16}\n"
       "mma.sync.aligned.{m16n8k8,m16n8k16}.row.col.f32.bf16.bf16.f32\n"
       "mma.sync.aligned.{m16n8k4,m16n8k8}.row.col.f32.tf32.tf32.f32\n"
       "mma.sync.aligned.{m8n8k4,m16n8k4,m16n8k8,m16n8k16}.row.col.f64.f64.f64.f64\n"
       "mma.sync.aligned.{m16n8k16,m16n8k32}.row.col.{f32,f16}.{e4m3,e5m2}.{e4m3,e5m2}.{f32,f16}\n"
       "mma.sync.aligned.{m8n8k16,m16n8k16,m16n8k32}.row.col{.satfinite}.s32.{s8,u8}.{s8,u8}.s32\n"
       "mma.sync.aligned.{m8n8k32,m16n8k32,m16n8k64}.row.col{.satfinite}.s32.{s4,u4}.{s4,u4}.s32\n"
       "mma.sync.aligned.{m8n8k128,m16n8k128,m16n8k256}.row.col.s32.b1.b1.s32.{xor,and}.popc"},
      {"wmma", tensor::decode_wmma,
       "wmma.load.{a,b,c}.sync.aligned.{row,col}.shape{.global,.shared}.type\n"
       "wmma.store.d.sync.aligned.{row,col}.shape{.global,.shared}.type\n"
       "wmma.mma.sync.aligned.{row,col}.{row,col}.{m16n16k16,m32n8k16,m8n32k16}.{f16,f32}.{f16,f32}"
       "\n"
       "wmma.mma.sync.aligned.{row,col}.{row,col}.{m16n16k16,m32n8k16,m8n32k16}.f32.bf16.bf16.f32\n"
       "wmma.mma.sync.aligned.{row,col}.{row,col}.{m16n16k16,m32n8k16,m8n32k16}{.satfinite}"
       ".s32.{s8,u8}.{s8,u8}.s32\n"
       "wmma.mma.sync.aligned.{row,col}.{row,col}.m16n16k8.f32.tf32.tf32.f32\n"
       "wmma.mma.sync.aligned.{row,col}.{row,col}.m8n8k4{.rn}.f64.f64.f64.f64\n"
       "wmma.mma.sync.aligned.row.col.m8n8k32{.satfinite}.s32.{s4,u4}.{s4,u4}.s32\n"
       "wmma.mma.{xor,and}.popc.sync.aligned.row.col.m8n8k128.s32.b1.b1.s32"},
      {"wgmma", tensor::decode_wgmma,
       "wgmma.mma_async.sync.aligned.m64n{8..256}k16.{f32,f16}.f16.f16\n"
       "wgmma.mma_async.sync.aligned.m64n{8..256}k16.f32.bf16.bf16\n"
       "wgmma.mma_async.sync.aligned.m64n{8..256}k8.f32.tf32.tf32\n"
       "wgmma.mma_async.sync.aligned.m64n{8..256}k32.{f32,f16}.{e4m3,e5m2}.{e4m3,e5m2}\n"
       "wgmma.mma_async.sync.aligned.m64n{8..256}k32{.satfinite}.s32.{s8,u8}.{s8,u8}\n"
       "wgmma.{fence,commit_group,wait_group}.sync.aligned"},
      {"ldmatrix", tensor::decode_ldmatrix,
       "ldmatrix.sync.aligned.m8n8.{x1,x2,x4}{.trans}{.shared{::cta}}.b16"},
      {"stmatrix", tensor::decode_stmatrix,
       "stmatrix.sync.aligned.m8n8.{x1,x2,x4}{.trans}{.shared{::cta}}.b16"},
      {"movmatrix", tensor::decode_movmatrix, "movmatrix.sync.aligned.m8n8.trans.b16"},
  };
  return kEntries;
}

}  // namespace ptx_emulator
