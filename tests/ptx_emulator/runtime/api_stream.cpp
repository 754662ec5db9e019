// Streams, events, callbacks.

#include <algorithm>

#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

cudaError_t create_stream(cudaStream_t* handle, unsigned flags, int priority, const char* name) {
  return api(name, [&](Call& call) {
    require(handle != nullptr && (flags & ~1u) == 0);
    Device& device = call.device();
    auto stream = std::make_unique<Stream>();
    stream->device = &device;
    stream->blocking = flags != cudaStreamNonBlocking;
    stream->flags = flags;
    stream->priority = std::clamp(priority, -5, 0);
    stream->id = call.runtime.next_stream_id++;
    device.streams.push_back(stream.get());
    *handle = reinterpret_cast<cudaStream_t>(stream.get());
    call.runtime.streams[*handle] = std::move(stream);
  });
}

cudaError_t create_event(cudaEvent_t* handle, unsigned flags, const char* name) {
  return api(name, [&](Call& call) {
    require(handle != nullptr && (flags & ~7u) == 0);
    auto event = std::make_shared<Event>();
    event->device = &call.device();
    event->flags = flags;
    require((flags & cudaEventInterprocess) == 0, "events of several processes are not supported",
            cudaErrorNotSupported);
    *handle = reinterpret_cast<cudaEvent_t>(event.get());
    call.runtime.events[*handle] = std::move(event);
  });
}

void require_running(const Event& event) {
  require(!event.capture, "the event was last recorded in a capture", cudaErrorCapturedEvent);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return create_stream(stream, cudaStreamDefault, 0, "cudaStreamCreate");
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return create_stream(stream, flags, 0, "cudaStreamCreateWithFlags");
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return create_stream(stream, flags, priority, "cudaStreamCreateWithPriority");
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return api("cudaStreamDestroy", [&](Call& call) {
    const auto found = call.runtime.streams.find(handle);
    require(found != call.runtime.streams.end(), "the stream does not exist (any more)",
            cudaErrorInvalidResourceHandle);
    // What it holds still runs. The default stream goes on waiting for it.
    Stream& stream = *found->second;
    if (stream.capture) invalidate(*stream.capture);
    Device& device = *stream.device;
    if (stream.last && !stream.last->done && stream.blocking) {
      Stream& legacy = device.legacy_stream();
      legacy.last = call.runtime.scheduler.add(
          &device, std::make_shared<const Operation>(EmptyOperation{}), {legacy.last, stream.last});
    }
    std::vector<Stream*>& all = device.streams;
    all.erase(std::remove(all.begin(), all.end(), &stream), all.end());
    if (stream.capture) {
      std::vector<Stream*>& members = stream.capture->streams;
      members.erase(std::remove(members.begin(), members.end(), &stream), members.end());
      if (stream.capture->origin == &stream) stream.capture->graph.reset();
    }
    call.runtime.streams.erase(found);
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return api("cudaStreamSynchronize",
             [&](Call& call) { synchronise(call.lock, call.stream(stream)); });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return api("cudaStreamQuery", [&](Call& call) {
    Stream& stream = call.stream(handle);
    if (stream.capture) {
      invalidate(*stream.capture);
      throw ApiError(cudaErrorStreamCaptureUnsupported, "the stream is capturing");
    }
    for (const WorkPointer& work : tail(stream)) {
      if (work && (stream.legacy || work == stream.last))
        call.runtime.scheduler.poll(call.lock, work);
    }
    require(stream.device->sticky == cudaSuccess, "", stream.device->sticky);
    require(is_done(stream), "", cudaErrorNotReady);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return api("cudaStreamWaitEvent", [&](Call& call) {
    const std::shared_ptr<Event> awaited = call.event(event);
    wait_for(call.lock, call.stream(stream), awaited, (flags & cudaEventWaitExternal) != 0);
  });
}

cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t function, void* data,
                                  unsigned) {
  return api("cudaStreamAddCallback", [&](Call& call) {
    require(function != nullptr, "the callback is null");
    Stream& stream = call.stream(handle);
    require(!stream.capture, "callbacks cannot be captured; cudaLaunchHostFunc can",
            cudaErrorStreamCaptureUnsupported);
    submit(call.lock, stream, CallbackOperation{function, handle, data});
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api("cudaLaunchHostFunc", [&](Call& call) {
    require(function != nullptr, "the function is null");
    submit(call.lock, call.stream(stream), HostOperation{function, data});
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  return api("cudaStreamGetPriority", [&](Call& call) {
    require(priority != nullptr);
    *priority = call.stream(stream).priority;
  });
}
cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  return api("cudaStreamGetFlags", [&](Call& call) {
    require(flags != nullptr);
    *flags = call.stream(stream).flags;
  });
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  return api("cudaStreamGetId", [&](Call& call) {
    require(id != nullptr);
    *id = call.stream(stream).id;
  });
}
cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* device) {
  return api("cudaStreamGetDevice", [&](Call& call) {
    require(device != nullptr);
    *device = call.stream(stream).device->index();
  });
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api("cudaDeviceGetStreamPriorityRange", [&](Call& call) {
    call.device();
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
  });
}
// Attributes of streams are hints of caching and of where errors are kept apart: they change no
// result.
cudaError_t cudaStreamCopyAttributes(cudaStream_t to, cudaStream_t from) {
  return api("cudaStreamCopyAttributes",
             [&](Call& call) { call.stream(to).priority = call.stream(from).priority; });
}
cudaError_t cudaStreamGetAttribute(cudaStream_t stream, cudaLaunchAttributeID attribute,
                                   cudaLaunchAttributeValue* value) {
  return api("cudaStreamGetAttribute", [&](Call& call) {
    require(value != nullptr);
    *value = {};
    if (attribute == cudaLaunchAttributePriority) value->priority = call.stream(stream).priority;
  });
}
cudaError_t cudaStreamSetAttribute(cudaStream_t stream, cudaLaunchAttributeID attribute,
                                   const cudaLaunchAttributeValue* value) {
  return api("cudaStreamSetAttribute", [&](Call& call) {
    require(value != nullptr);
    Stream& one = call.stream(stream);
    if (attribute == cudaLaunchAttributePriority) one.priority = value->priority;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return create_event(event, 0, "cudaEventCreate");
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return create_event(event, flags, "cudaEventCreateWithFlags");
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api("cudaEventDestroy", [&](Call& call) {
    call.event(event);
    call.runtime.events.erase(event);
  });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags) {
  return api("cudaEventRecord", [&](Call& call) {
    Stream& stream = call.stream(handle);
    const std::shared_ptr<Event> recorded = call.event(event);
    require(recorded->device == stream.device, "event and stream are of different devices",
            cudaErrorInvalidResourceHandle);
    record(call.lock, stream, recorded, (flags & cudaEventRecordExternal) != 0);
  });
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}
cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return api("cudaEventQuery", [&](Call& call) {
    const std::shared_ptr<Event> event = call.event(handle);
    require_running(*event);
    require(event->device->sticky == cudaSuccess, "", event->device->sticky);
    if (!event->work || event->work->done) return;
    const WorkPointer work = event->work;
    call.runtime.scheduler.poll(call.lock, work);
    require(event->device->sticky == cudaSuccess, "", event->device->sticky);
    require(work->done, "", cudaErrorNotReady);
  });
}
cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return api("cudaEventSynchronize", [&](Call& call) {
    const std::shared_ptr<Event> event = call.event(handle);
    require_running(*event);
    const WorkPointer work = event->work;
    if (work) call.runtime.scheduler.wait(call.lock, work);
    require(event->device->sticky == cudaSuccess, "", event->device->sticky);
  });
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return api("cudaEventElapsedTime", [&](Call& call) {
    require(milliseconds != nullptr);
    const std::shared_ptr<Event>& first = call.event(begin);
    const std::shared_ptr<Event>& last = call.event(end);
    require(
        (first->flags & cudaEventDisableTiming) == 0 && (last->flags & cudaEventDisableTiming) == 0,
        "an event was made with cudaEventDisableTiming", cudaErrorInvalidResourceHandle);
    require(first->work && last->work, "an event was never recorded",
            cudaErrorInvalidResourceHandle);
    require(first->work->done && last->work->done, "", cudaErrorNotReady);
    *milliseconds = static_cast<float>(last->work->finished_ms - first->work->finished_ms);
  });
}

}  // extern "C"
#pragma GCC visibility pop
