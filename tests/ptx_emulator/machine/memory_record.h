#pragma once
// What ld and st do, fixed at decoding.

#include <cstdint>

#include "tests/ptx_emulator/machine/access.h"
#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator {

// Op::a is the base address. `values`: the registers, one for each vector element; those of `_` are
// scratch.
struct MemoryRecord {
  AccessForm form;
  Place values[8];
  std::uint32_t count = 1;
  std::uint32_t element_bytes = 4;  // in memory: 1, 2, 4, 8 or 16
  std::uint32_t lane_bytes = 4;     // of a register's lane: 4, 8 or 16
  bool is_signed = false;           // loads extend the sign
  std::uint32_t value_bytes = 4;    // of the register, for sign extension: 2, 4 or 8
  bool address_32 = false;
  bool acquires = false, releases = false;
  std::int64_t offset = 0;  // added to the base
};

// Handlers for the frequent shapes, in memory that was touched lately: lanes side by side, lanes
// that read one place, and lanes anywhere, all of them or some. They fall back to load_general and
// store_general. nullptr where the record has another shape.
Handler fast_load(const MemoryRecord& record);
Handler fast_store(const MemoryRecord& record);

// The same for ld.param of a kernel's parameter.
Handler fast_parameter(const MemoryRecord& record);

// d = a, 64 bits: addresses that are the same in two spaces.
const Op* copy_addresses(Warp& warp, const Op* op);

// Any record.
const Op* load_general(Warp& warp, const Op* op);
const Op* store_general(Warp& warp, const Op* op);
const Op* load_parameter(Warp& warp, const Op* op);

}  // namespace ptx_emulator
