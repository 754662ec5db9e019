#pragma once
// Order between streams, by the runtime's own events (looked up by name, since stand-ins are not
// linked against it).

#include <functional>

struct CUstream_st;

namespace ptx_emulator::stand_ins {

struct StreamOfDevice {
  CUstream_st* stream = nullptr;
  int device = 0;
  bool operator==(const StreamOfDevice&) const = default;
};

int current_cuda_device();                                    // 0 where the runtime does not say
unsigned long long capture_id(const StreamOfDevice& stream);  // 0: the stream is not capturing
// Work that `later` gets from now on runs after what `earlier` holds now. Returns a cudaError_t;
// where the runtime has no events (it then runs everything at once) nothing is done.
int order_after(const StreamOfDevice& later, const StreamOfDevice& earlier);
// Queues work on the stream, with its device current: a null stream means that device's.
int enqueue_on(const StreamOfDevice& stream, std::function<void()> work, const char* label);
// Waits for the stream's work; errors are left to the program's own calls.
void drain(const StreamOfDevice& stream);

// An event of this process that marks the end of its last communication.
class CommunicationOrder {
 public:
  static CommunicationOrder& instance();
  // The stream's next work runs after the last marked one, unless one of both belongs to another
  // capture.
  int follow(const StreamOfDevice& stream);
  // The stream's work so far is the last communication.
  int mark(const StreamOfDevice& stream);

 private:
  void* event_ = nullptr;
  StreamOfDevice last_;
  unsigned long long last_capture_ = 0;
  bool marked_ = false;
};

}  // namespace ptx_emulator::stand_ins
