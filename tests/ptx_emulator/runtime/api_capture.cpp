// Capture of streams into graphs.

#include <algorithm>

#include "tests/ptx_emulator/runtime/graph_nodes.h"
#include "tests/ptx_emulator/runtime/thread_state.h"

using namespace ptx_emulator;

namespace {

void begin(Call& call, cudaStream_t handle, std::shared_ptr<Graph> graph,
           std::vector<GraphNode*> dependencies, cudaStreamCaptureMode mode) {
  Stream& stream = call.stream(handle);
  require(!stream.legacy, "the default stream cannot be captured",
          cudaErrorStreamCaptureUnsupported);
  require(!stream.capture, "the stream is capturing already", cudaErrorIllegalState);
  auto capture = std::make_shared<Capture>();
  capture->id = call.runtime.next_capture_id++;
  capture->graph = std::move(graph);
  capture->mode = mode;
  capture->thread = thread_state().number;
  capture->origin = &stream;
  capture->streams.push_back(&stream);
  stream.capture = capture;
  stream.captured_nodes = std::move(dependencies);
  std::vector<std::weak_ptr<Capture>>& all = call.runtime.graphs.captures;
  all.erase(std::remove_if(all.begin(), all.end(), [](const auto& one) { return one.expired(); }),
            all.end());
  all.push_back(capture);
}

// All that was captured leads to where the origin stream is now.
bool is_joined(const Capture& capture) {
  std::unordered_set<const GraphNode*> reached;
  std::vector<const GraphNode*> open(capture.origin->captured_nodes.begin(),
                                     capture.origin->captured_nodes.end());
  while (!open.empty()) {
    const GraphNode* const node = open.back();
    open.pop_back();
    if (!reached.insert(node).second) continue;
    open.insert(open.end(), node->dependencies.begin(), node->dependencies.end());
  }
  for (const Stream* const stream : capture.streams) {
    for (const GraphNode* const node : stream->captured_nodes) {
      if (reached.count(node) == 0) return false;
    }
  }
  return true;
}

cudaStreamCaptureStatus status_of(const Stream& stream) {
  if (!stream.capture) return cudaStreamCaptureStatusNone;
  return stream.capture->invalid ? cudaStreamCaptureStatusInvalidated
                                 : cudaStreamCaptureStatusActive;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture",
             [&](Call& call) { begin(call, stream, std::make_shared<Graph>(), {}, mode); });
}
cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph,
                                          const cudaGraphNode_t* dependencies,
                                          const cudaGraphEdgeData*, std::size_t count,
                                          cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCaptureToGraph", [&](Call& call) {
    require(count == 0 || dependencies != nullptr);
    std::vector<GraphNode*> before;
    for (std::size_t i = 0; i < count; ++i) {
      before.push_back(&call.runtime.graphs.node(dependencies[i]));
    }
    begin(call, stream, call.runtime.graphs.graph(graph), before, mode);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return api("cudaStreamEndCapture", [&](Call& call) {
    require(graph != nullptr);
    *graph = nullptr;
    Stream& stream = call.stream(handle);
    require(stream.capture != nullptr, "the stream is not capturing", cudaErrorIllegalState);
    const std::shared_ptr<Capture> capture = stream.capture;
    require(capture->origin == &stream, "the capture began on another stream",
            cudaErrorStreamCaptureUnmatched);
    require(
        capture->mode == cudaStreamCaptureModeRelaxed || capture->thread == thread_state().number,
        "the capture began on another thread", cudaErrorStreamCaptureWrongThread);
    const bool joined = is_joined(*capture);
    std::shared_ptr<Graph> made = std::move(capture->graph);
    capture->graph = nullptr;
    for (Stream* const member : capture->streams) {
      member->capture.reset();
      member->captured_nodes.clear();
    }
    require(!capture->invalid, "an error made the capture invalid",
            cudaErrorStreamCaptureInvalidated);
    require(joined, "a stream that took part was not joined to the first by an event",
            cudaErrorStreamCaptureUnjoined);
    *graph = call.runtime.graphs.add(std::move(made));
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  return api("cudaStreamIsCapturing", [&](Call& call) {
    require(status != nullptr);
    *status = status_of(call.stream(stream));
  });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, std::size_t* count) {
  return api("cudaStreamGetCaptureInfo", [&](Call& call) {
    require(status != nullptr);
    Stream& stream = call.stream(handle);
    *status = status_of(stream);
    if (*status != cudaStreamCaptureStatusActive) return;
    if (id != nullptr) *id = stream.capture->id;
    if (graph != nullptr) {
      // Known by handle while the capture lasts, so that nodes can be added to it.
      *graph = call.runtime.graphs.add(stream.capture->graph);
    }
    if (dependencies != nullptr) {
      *dependencies = reinterpret_cast<const cudaGraphNode_t*>(stream.captured_nodes.data());
    }
    if (edges != nullptr) *edges = nullptr;
    if (count != nullptr) *count = stream.captured_nodes.size();
  });
}

cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t handle, cudaGraphNode_t* dependencies,
                                                const cudaGraphEdgeData*, std::size_t count,
                                                unsigned flags) {
  return api("cudaStreamUpdateCaptureDependencies", [&](Call& call) {
    Stream& stream = call.stream(handle);
    require(stream.capture != nullptr, "the stream is not capturing", cudaErrorIllegalState);
    require(count == 0 || dependencies != nullptr);
    std::vector<GraphNode*> nodes;
    if (flags != cudaStreamSetCaptureDependencies) nodes = stream.captured_nodes;
    for (std::size_t i = 0; i < count; ++i) {
      GraphNode& node = call.runtime.graphs.node(dependencies[i]);
      require(node.graph == stream.capture->graph.get(), "the node is of another graph");
      nodes.push_back(&node);
    }
    stream.captured_nodes = std::move(nodes);
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api("cudaThreadExchangeStreamCaptureMode", [&](Call&) {
    require(mode != nullptr && *mode >= cudaStreamCaptureModeGlobal &&
            *mode <= cudaStreamCaptureModeRelaxed);
    std::swap(*mode, thread_state().capture_mode);
  });
}

}  // extern "C"
#pragma GCC visibility pop
