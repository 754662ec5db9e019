#include "tests/ptx_emulator/machine/tensor/whole_warp.h"

#include <cstdio>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/observer.h"
#include "tests/ptx_emulator/machine/simt.h"

namespace ptx_emulator::tensor {

Entry enter_slowly(Warp& warp, const Op* op) {
  const std::uint32_t lanes = lanes_of(warp, op);
  if (lanes == 0) return Entry::kSkip;
  if (lanes != warp.active || warp.exited != 0) {
    char message[200];
    std::snprintf(message, sizeof message,
                  "an instruction of whole warps is executed by lanes 0x%08x only%s; all 32 must",
                  lanes, warp.exited != 0 ? " (others have ended or never existed)" : "");
    throw DeviceFault(FaultKind::kInvalidMask, message);
  }
  return meet_lanes(warp, op, lanes, kAllLanes) ? Entry::kExecute : Entry::kWait;
}

void count_product(Warp& warp, const Op* op, std::uint64_t flops) {
  if (Observer* observer = warp.block->observer) observer->matrix_product(warp, op, flops);
}

namespace {

const std::vector<ptx::Operand>* parts_of(const ptx::Operand& operand) {
  return operand.kind == ptx::Operand::Kind::kVector ? &operand.parts : nullptr;
}

}  // namespace

std::vector<Place> sources(Assembler& assembler, std::size_t operand, ptx::Type type) {
  const ptx::Operand& whole = assembler.operand(operand);
  const std::vector<ptx::Operand>* parts = parts_of(whole);
  if (parts == nullptr) return {assembler.source(whole, type)};
  std::vector<Place> places;
  for (const ptx::Operand& part : *parts) places.push_back(assembler.source(part, type));
  return places;
}

std::vector<Place> destinations(Assembler& assembler, std::size_t operand, ptx::Type type) {
  const ptx::Operand& whole = assembler.operand(operand);
  const std::vector<ptx::Operand>* parts = parts_of(whole);
  if (parts == nullptr) return {assembler.destination(whole, type)};
  std::vector<Place> places;
  for (const ptx::Operand& part : *parts) places.push_back(assembler.destination(part, type));
  return places;
}

}  // namespace ptx_emulator::tensor
