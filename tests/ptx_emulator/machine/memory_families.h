#pragma once
// Decoders of the memory family that stand in files of their own.

namespace ptx_emulator {

class Assembler;

void decode_ld(Assembler& assembler);    // memory_ops.cpp; ldu too
void decode_st(Assembler& assembler);    // memory_ops.cpp
void decode_atom(Assembler& assembler);  // atomic_ops.cpp
void decode_red(Assembler& assembler);   // atomic_ops.cpp

}  // namespace ptx_emulator
