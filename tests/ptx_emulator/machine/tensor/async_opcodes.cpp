// cp, mbarrier and the small instructions around them.
#include "tests/ptx_emulator/machine/assembler.h"
#include "tests/ptx_emulator/machine/tensor/opcodes.h"
#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {
namespace tensor {

void decode_cp(Assembler& assembler) {
  const ptx::Instruction& instruction = assembler.instruction();
  if (!instruction.has("async")) Assembler::unsupported("cp without .async");
  if (instruction.has("mbarrier") && instruction.has("arrive")) {
    decode_copy_arrival(assembler);
  } else if (instruction.has("tensor")) {
    decode_cp_tensor(assembler);
  } else if (instruction.has("bulk")) {
    decode_cp_bulk(assembler);
  } else {
    decode_cp_async(assembler);
  }
}

namespace {

const Op* execute_nothing(Warp&, const Op* op) {
  return op + 1;
}

}  // namespace

void decode_griddepcontrol(Assembler& assembler) {
  // A grid here starts after those before it in its stream have ended: there is nothing to wait
  // for.
  const ptx::Instruction& instruction = assembler.instruction();
  if (!instruction.has("wait") && !instruction.has("launch_dependents")) {
    Assembler::unsupported("griddepcontrol of this kind");
  }
  assembler.emit(execute_nothing);
}

void decode_setmaxnreg(Assembler& assembler) {
  const std::int64_t count = assembler.integer(0);
  if (count < 24 || count > 256 || count % 8 != 0) {
    Assembler::unsupported("setmaxnreg takes a multiple of 8 from 24 to 256");
  }
  assembler.emit(execute_nothing);
}

}  // namespace tensor

std::span<const OpcodeEntry> async_opcodes() {
  static constexpr OpcodeEntry kEntries[] = {
      {"cp", tensor::decode_cp,
       "cp.async.{ca,cg}.shared{::cta}.global{.L2::cache_hint}{.L2::64B,128B,256B}\n"
       "cp.async.{commit_group,wait_group,wait_all}\n"
       "cp.async.mbarrier.arrive{.noinc}{.shared{::cta}}.b64\n"
       "cp.async.bulk.shared::{cta,cluster}.global.mbarrier::complete_tx::bytes"
       "{.multicast::cluster}{.L2::cache_hint}\n"
       "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes\n"
       "cp.async.bulk.global.shared::cta.bulk_group{.L2::cache_hint}\n"
       "cp.async.bulk.prefetch.L2.global{.L2::cache_hint}\n"
       "cp.async.bulk.{commit_group,wait_group{.read}}\n"
       "cp.reduce.async.bulk.{shared::cluster.shared::cta.mbarrier::complete_tx::bytes,"
       "global.shared::cta.bulk_group}{.noftz}.{add,min,max,inc,dec,and,or,xor}."
       "{f16,bf16,f32,f64,b32,u32,s32,b64,u64,s64}\n"
       "cp.async.bulk.tensor.{1d..5d}.shared::{cta,cluster}.global{.tile}"
       ".mbarrier::complete_tx::bytes{.multicast::cluster}{.L2::cache_hint}\n"
       "cp.async.bulk.tensor.{1d..5d}.global.shared::cta{.tile}.bulk_group{.L2::cache_hint}\n"
       "cp.async.bulk.prefetch.tensor.{1d..5d}.L2.global{.tile}{.L2::cache_hint}\n"
       "cp.reduce.async.bulk.tensor.{1d..5d}.global.shared::cta.{add,min,max,inc,dec,and,or,xor}"
       "{.tile}.bulk_group{.L2::cache_hint}"},
      {"mbarrier", tensor::decode_mbarrier,
       "mbarrier.{init,inval}{.shared{::cta}}.b64\n"
       "mbarrier.{arrive,arrive_drop}{.expect_tx}{.noComplete}{.release,.relaxed}{.cta,.cluster}"
       "{.shared{::cta,::cluster}}.b64\n"
       "mbarrier.{expect_tx,complete_tx}{.relaxed.cta,.relaxed.cluster}"
       "{.shared{::cta,::cluster}}.b64\n"
       "mbarrier.{test_wait,try_wait}{.parity}{.acquire,.relaxed}{.cta,.cluster}"
       "{.shared{::cta}}.b64\n"
       "mbarrier.pending_count.b64"},
      {"tensormap", tensor::decode_tensormap,
       "tensormap.replace.tile.*{.global,.shared::cta}.b1024\n"
       "tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release{.scope}.sync."
       "aligned"},
      {"griddepcontrol", tensor::decode_griddepcontrol, "griddepcontrol.{wait,launch_dependents}"},
      {"setmaxnreg", tensor::decode_setmaxnreg, "setmaxnreg.{inc,dec}.sync.aligned.u32"},
  };
  return kEntries;
}

}  // namespace ptx_emulator
