#pragma once
// What the handlers of warp exchanges find at Op::extra.

#include "tests/ptx_emulator/machine/op.h"

namespace ptx_emulator::lanes {

struct ExchangeRecord {
  Place mask;       // the lanes that take part, 32 words
  Place predicate;  // second destination; a scratch word where the text has none
};

}  // namespace ptx_emulator::lanes
