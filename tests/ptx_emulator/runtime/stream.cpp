#include "tests/ptx_emulator/runtime/stream.h"

#include <algorithm>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {
namespace {

WorkPointer enqueue(Lock& lock, Stream& stream, Operation operation,
                    const std::vector<WorkPointer>& more) {
  Runtime& runtime = Runtime::instance();
  std::vector<WorkPointer> after = tail(stream);
  after.insert(after.end(), more.begin(), more.end());
  const WorkPointer work = runtime.scheduler.add(
      stream.device, std::make_shared<const Operation>(std::move(operation)), after);
  stream.last = work;
  runtime.scheduler.limit(lock);
  // A callback that queues must not wait; who waits for its own work next runs this.
  if (runtime.settings.eager && !Scheduler::on_worker()) runtime.scheduler.wait(lock, work);
  return work;
}

// The legacy default stream waits for all blocking streams: none of them may be capturing.
void forbid_implicit(const Stream& stream) {
  if (!stream.legacy) return;
  for (Stream* const other : stream.device->streams) {
    if (!other->capture || !other->blocking) continue;
    invalidate(*other->capture);
    throw ApiError(cudaErrorStreamCaptureImplicit,
                   "the default stream waits for a stream that is capturing; use a stream made "
                   "with cudaStreamNonBlocking");
  }
}

void join_capture(Stream& stream, const Event& event) {
  const std::shared_ptr<Capture>& capture = event.capture;
  if (stream.legacy) {
    invalidate(*capture);
    throw ApiError(cudaErrorStreamCaptureImplicit, "the default stream cannot join a capture");
  }
  if (!stream.capture) {
    stream.capture = capture;
    stream.captured_nodes.clear();
    capture->streams.push_back(&stream);
  } else if (stream.capture != capture) {
    invalidate(*capture);
    invalidate(*stream.capture);
    throw ApiError(cudaErrorStreamCaptureMerge, "the event belongs to another capture");
  }
  for (GraphNode* const node : event.captured_nodes) {
    std::vector<GraphNode*>& nodes = stream.captured_nodes;
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
  }
}

}  // namespace

std::vector<WorkPointer> tail(const Stream& stream) {
  std::vector<WorkPointer> after{stream.last};
  if (stream.legacy) {
    for (const Stream* const other : stream.device->streams) {
      if (other->blocking && other != &stream) after.push_back(other->last);
    }
  } else if (stream.blocking) {
    after.push_back(stream.device->legacy_stream().last);
  }
  return after;
}

WorkPointer submit(Lock& lock, Stream& stream, Operation operation) {
  if (stream.capture) {
    capture_operation(stream, std::move(operation));
    return nullptr;
  }
  forbid_implicit(stream);
  return enqueue(lock, stream, std::move(operation), {});
}

void record(Lock& lock, Stream& stream, const std::shared_ptr<Event>& event, bool external) {
  if (stream.capture && external) {
    capture_operation(stream, EventRecordOperation{event});
    return;
  }
  if (stream.capture) {
    require(!stream.capture->invalid, "", cudaErrorStreamCaptureInvalidated);
    event->capture = stream.capture;
    event->captured_nodes = stream.captured_nodes;
    return;
  }
  forbid_implicit(stream);
  event->capture.reset();
  event->captured_nodes.clear();
  event->work = enqueue(lock, stream, EmptyOperation{}, {});
}

void wait_for(Lock& lock, Stream& stream, const std::shared_ptr<Event>& event, bool external) {
  if (stream.capture && external) {
    capture_operation(stream, EventWaitOperation{event});
    return;
  }
  if (event->capture && event->capture->graph) {
    require(!event->capture->invalid, "", cudaErrorStreamCaptureInvalidated);
    join_capture(stream, *event);
    return;
  }
  require(!event->capture, "the event was recorded in a capture that has ended",
          cudaErrorCapturedEvent);
  if (stream.capture) {
    invalidate(*stream.capture);
    throw ApiError(cudaErrorStreamCaptureIsolation,
                   "a capturing stream cannot wait for an event recorded outside the capture");
  }
  if (!event->work) return;
  forbid_implicit(stream);
  enqueue(lock, stream, EmptyOperation{}, {event->work});
}

void synchronise(Lock& lock, Stream& stream) {
  if (stream.capture) {
    invalidate(*stream.capture);
    throw ApiError(cudaErrorStreamCaptureUnsupported, "the stream is capturing");
  }
  forbid_implicit(stream);
  Runtime& runtime = Runtime::instance();
  Device* const device = stream.device;
  // A wait for the legacy default stream is one for all streams that it waits for.
  for (const WorkPointer& work : tail(stream)) {
    if (stream.legacy || work == stream.last) runtime.scheduler.wait(lock, work);
  }
  require(device->sticky == cudaSuccess, "", device->sticky);
}

bool is_done(const Stream& stream) {
  for (const WorkPointer& work : tail(stream)) {
    if ((stream.legacy || work == stream.last) && work && !work->done) return false;
  }
  return true;
}

void synchronise(Lock& lock, Device& device) {
  for (Stream* const stream : device.streams) {
    if (!stream->capture) continue;
    invalidate(*stream->capture);
    throw ApiError(cudaErrorStreamCaptureUnsupported, "a stream of the device is capturing");
  }
  Runtime::instance().scheduler.wait(lock, nullptr);
  require(device.sticky == cudaSuccess, "", device.sticky);
}

}  // namespace ptx_emulator
