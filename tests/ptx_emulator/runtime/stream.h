#pragma once
// Streams and events.

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/ptx_emulator/runtime/work.h"

namespace ptx_emulator {

class Device;
struct Capture;
struct GraphNode;

struct Event {
  Device* device = nullptr;
  unsigned flags = 0;
  WorkPointer work;  // the last record; null before the first
  // Where the last record was captured: the nodes that a waiting stream depends on.
  std::shared_ptr<Capture> capture;
  std::vector<GraphNode*> captured_nodes;
};

struct Stream {
  Device* device = nullptr;
  bool legacy = false;   // the default stream that blocking streams and it wait for each other
  bool blocking = true;  // of cudaStreamNonBlocking: false
  bool per_thread = false;
  unsigned flags = 0;
  int priority = 0;
  std::uint64_t id = 0;
  WorkPointer last;                        // the end of what was queued
  std::shared_ptr<Capture> capture;        // null: not capturing
  std::vector<GraphNode*> captured_nodes;  // what the next captured operation depends on
};

// Queues the operation at the end of the stream, or adds it to the graph under capture (then null
// is returned).
WorkPointer submit(Lock& lock, Stream& stream, Operation operation);
// What must end before new work of the stream may begin.
std::vector<WorkPointer> tail(const Stream& stream);

void record(Lock& lock, Stream& stream, const std::shared_ptr<Event>& event, bool external);
void wait_for(Lock& lock, Stream& stream, const std::shared_ptr<Event>& event, bool external);
// Waits until the stream's work has ended. Throws ApiError while it captures.
void synchronise(Lock& lock, Stream& stream);
bool is_done(const Stream& stream);
// Waits for all work of a device.
void synchronise(Lock& lock, Device& device);

}  // namespace ptx_emulator
