#pragma once
// Decoders of instructions that are no plain forms, and the tables that the assembler asks for.

#include "tests/ptx_emulator/machine/assembler.h"

namespace ptx_emulator::lanes {

void decode_mov(Assembler& assembler);
void decode_cvt(Assembler& assembler);
void decode_setp(Assembler& assembler);
void decode_set(Assembler& assembler);
void decode_lop3(Assembler& assembler);
// add, addc, sub, subc, mad, madc: those with a carry flag; the others are plain forms.
void decode_carry(Assembler& assembler);
// min, max: those of three inputs; the others are plain forms.
void decode_extreme(Assembler& assembler);
// shfl, vote, match, redux, elect, activemask.
void decode_shfl(Assembler& assembler);
void decode_exchange(Assembler& assembler);

}  // namespace ptx_emulator::lanes
