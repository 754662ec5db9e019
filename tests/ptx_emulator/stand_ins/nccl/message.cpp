#include "tests/ptx_emulator/stand_ins/nccl/message.h"

#include <nccl.h>

#include <algorithm>
#include <cstring>

#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

struct Message {
  int rank = 0;
  const NcclCall* call = nullptr;
  Channel* channel = nullptr;
  std::byte* host = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t moved = 0;
  bool started = false;

  bool sends() const { return call->kind == Kind::kSend; }
  bool done() const { return started && moved == bytes; }
};

// Moves one piece if the channel has room for it; an empty message is one empty piece.
bool send_piece(Message& message) {
  Channel& channel = *message.channel;
  const std::uint64_t written = channel.written.load();
  if (written - channel.read.load() >= kNumSlots) return false;
  Channel::Slot& slot = channel.slots[written % kNumSlots];
  slot.total_bytes = message.bytes;
  slot.type = message.call->type;
  slot.bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(kSlotBytes, message.bytes - message.moved));
  if (slot.bytes > 0) std::memcpy(slot.data, message.host + message.moved, slot.bytes);
  message.moved += slot.bytes;
  message.started = true;
  channel.written.store(written + 1);
  return true;
}

bool receive_piece(SharedSegment& segment, Message& message) {
  Channel& channel = *message.channel;
  const std::uint64_t read = channel.read.load();
  if (read == channel.written.load()) return false;
  const Channel::Slot& slot = channel.slots[read % kNumSlots];
  if (slot.total_bytes != message.bytes || slot.type != message.call->type ||
      slot.bytes > message.bytes - message.moved) {
    const std::size_t element = std::max<std::size_t>(bytes_of_nccl_type(slot.type), 1);
    const std::string reason = text(
        "rank %d calls %s, which sends %llu %s", message.rank, describe(*message.call).c_str(),
        static_cast<unsigned long long>(slot.total_bytes / element), name_of_nccl_type(slot.type));
    segment.fail(ncclInvalidUsage, reason);
    throw CommunicationError(ncclInvalidUsage, reason);
  }
  if (slot.bytes > 0) std::memcpy(message.host + message.moved, slot.data, slot.bytes);
  message.moved += slot.bytes;
  message.started = true;
  channel.read.store(read + 1);
  return true;
}

// One round over all messages; of each direction of a pair only the oldest unfinished one moves.
bool progress(SharedSegment& segment, std::vector<Message>& messages) {
  bool moved = false;
  std::vector<const Channel*> busy_sending;
  std::vector<const Channel*> busy_receiving;
  for (Message& message : messages) {
    if (message.done()) continue;
    std::vector<const Channel*>& busy = message.sends() ? busy_sending : busy_receiving;
    if (std::find(busy.begin(), busy.end(), message.channel) != busy.end()) continue;
    busy.push_back(message.channel);
    moved |= message.sends() ? send_piece(message) : receive_piece(segment, message);
  }
  return moved;
}

}  // namespace

void run_messages(SharedSegment& segment, const std::vector<LocalCall>& calls) {
  std::vector<Message> messages;
  std::vector<int> ranks;
  for (const LocalCall& local : calls) {
    const NcclCall& call = *local.call;
    Message message;
    message.rank = local.rank;
    message.call = &call;
    message.bytes = call.count * bytes_of_nccl_type(call.type);
    const bool sends = message.sends();
    message.channel =
        &segment.channel(sends ? local.rank : call.root, sends ? call.root : local.rank, sends);
    if (message.bytes > 0) {
      message.host = static_cast<std::byte*>(
          sends ? host_pointer(call.send, message.bytes, "send buffer")
                : writable_pointer(call.receive, message.bytes, "receive buffer"));
    }
    messages.push_back(message);
    if (std::find(ranks.begin(), ranks.end(), local.rank) == ranks.end())
      ranks.push_back(local.rank);
  }
  const auto through = [&] {
    return std::all_of(messages.begin(), messages.end(),
                       [](const Message& message) { return message.done(); });
  };
  while (!through()) {
    const auto open = std::find_if(messages.begin(), messages.end(),
                                   [](const Message& message) { return !message.done(); });
    segment.wait(ranks, describe(*open->call), [&] { return progress(segment, messages); });
    segment.wake();
  }
}

}  // namespace ptx_emulator::stand_ins
