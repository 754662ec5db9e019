#pragma once
// The decoders of this folder.

#include "tests/ptx_emulator/machine/assembler.h"

namespace ptx_emulator::tensor {

void decode_mma(Assembler& assembler);
void decode_wmma(Assembler& assembler);
void decode_wgmma(Assembler& assembler);
void decode_ldmatrix(Assembler& assembler);
void decode_stmatrix(Assembler& assembler);
void decode_movmatrix(Assembler& assembler);
void decode_cp(Assembler& assembler);  // sorts out the kinds of copies
void decode_cp_async(Assembler& assembler);
void decode_cp_bulk(Assembler& assembler);
void decode_cp_tensor(Assembler& assembler);
void decode_mbarrier(Assembler& assembler);
void decode_copy_arrival(Assembler& assembler);  // cp.async.mbarrier.arrive
void decode_tensormap(Assembler& assembler);
void decode_st_async(Assembler& assembler);  // async_stores.cpp; of ld/st's and atom/red's families
void decode_red_async(Assembler& assembler);  // async_stores.cpp
void decode_griddepcontrol(Assembler& assembler);
void decode_setmaxnreg(Assembler& assembler);

}  // namespace ptx_emulator::tensor
