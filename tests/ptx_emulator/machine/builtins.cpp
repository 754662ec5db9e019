#include "tests/ptx_emulator/machine/builtins.h"

#include <bit>
#include <cstdio>
#include <cstring>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/device_heap.h"
#include "tests/ptx_emulator/machine/fault.h"
#include "tests/ptx_emulator/machine/lane_memory.h"

namespace ptx_emulator {
namespace {

std::byte* slot_of(const Warp& warp, std::uint32_t lane, std::uint32_t offset) {
  return warp.local + lane * warp.block->grid->local_bytes + warp.local_offset + offset;
}

std::uint64_t argument(const Warp& warp, std::uint32_t lane, const BuiltinCall& call,
                       std::size_t i) {
  std::uint64_t value = 0;
  std::memcpy(&value, slot_of(warp, lane, call.arguments[i].offset),
              std::min(call.arguments[i].bytes, 8u));
  return value;
}

void set_result(const Warp& warp, std::uint32_t lane, const BuiltinCall& call,
                std::uint64_t value) {
  if (call.results.empty()) return;
  std::memcpy(slot_of(warp, lane, call.results[0].offset), &value,
              std::min(call.results[0].bytes, 8u));
}

// Text that device code points at, up to a length that no message has.
std::string text_at(Warp& warp, const Op* op, std::uint32_t lane, std::uint64_t address) {
  constexpr std::size_t kMostBytes = 1u << 20;
  std::string text;
  while (text.size() < kMostBytes) {
    const char c = static_cast<char>(
        *lane_pointer(warp, op, lane, address + text.size(), 1, AccessKind::kRead));
    if (c == 0) break;
    text += c;
  }
  return text;
}

class WarpFormatSource final : public FormatSource {
 public:
  WarpFormatSource(Warp& warp, const Op* op, std::uint32_t lane, std::uint64_t buffer)
      : warp_(warp), op_(op), lane_(lane), buffer_(buffer) {}
  std::uint64_t read(std::uint64_t offset, std::uint32_t bytes) override {
    std::uint64_t value = 0;
    std::memcpy(&value, lane_pointer(warp_, op_, lane_, buffer_ + offset, bytes, AccessKind::kRead),
                bytes);
    return value;
  }
  std::string text(std::uint64_t address) override { return text_at(warp_, op_, lane_, address); }

 private:
  Warp& warp_;
  const Op* op_;
  std::uint32_t lane_;
  std::uint64_t buffer_;
};

void print(Warp& warp, const Op* op, std::uint32_t lanes, const BuiltinCall& call) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    const std::string format = text_at(warp, op, lane, argument(warp, lane, call, 0));
    WarpFormatSource source(warp, op, lane, argument(warp, lane, call, 1));
    std::uint32_t count = 0;
    const std::string text = format_device_text(format, source, count);
    std::fwrite(text.data(), 1, text.size(), stdout);
    set_result(warp, lane, call, count);
  }
}

void fail_assertion(Warp& warp, const Op* op, std::uint32_t lanes, const BuiltinCall& call) {
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
  const auto text = [&](std::size_t i) {
    return text_at(warp, op, lane, argument(warp, lane, call, i));
  };
  throw DeviceFault(FaultKind::kDeviceAssert,
                    text(1) + ":" + std::to_string(argument(warp, lane, call, 2) & 0xFFFFFFFFu) +
                        ": " + text(3) + ": Assertion `" + text(0) + "` failed",
                    lane);
}

void allocate(Warp& warp, const Op* /*op*/, std::uint32_t lanes, const BuiltinCall& call) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    set_result(warp, lane, call, warp.block->grid->heap->allocate(argument(warp, lane, call, 0)));
  }
}

void release(Warp& warp, const Op* /*op*/, std::uint32_t lanes, const BuiltinCall& call) {
  for (std::uint32_t rest = lanes; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<std::uint32_t>(std::countr_zero(rest));
    std::string problem = warp.block->grid->heap->release(argument(warp, lane, call, 0));
    if (!problem.empty()) throw DeviceFault(FaultKind::kInvalidOperand, std::move(problem), lane);
  }
}

}  // namespace

Builtin find_builtin(const std::string& name) {
  if (name == "vprintf") return print;
  if (name == "__assertfail") return fail_assertion;
  if (name == "malloc") return allocate;
  if (name == "free") return release;
  return nullptr;
}

std::uint32_t num_arguments(Builtin builtin) {
  return builtin == print ? 2u : builtin == fail_assertion ? 5u : 1u;
}

}  // namespace ptx_emulator
