#pragma once
// Decoders of opcodes that stand in files of their own.

namespace ptx_emulator {

class Assembler;

void decode_call(Assembler& assembler);     // call_ops.cpp
void decode_bar(Assembler& assembler);      // barrier_ops.cpp
void decode_barrier(Assembler& assembler);  // barrier_ops.cpp

}  // namespace ptx_emulator
