// Graphs: captured and built by hand, launched, changed, and refused.
#include "runtime_case.cuh"

namespace {

constexpr int kCount = 300;
constexpr std::size_t kBytes = kCount * sizeof(float);

struct Buffers {
  Buffers() {
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
    CHECK(cudaEventCreate(&fork));
    CHECK(cudaEventCreate(&join));
    CHECK(cudaMalloc(&a, kBytes));
    CHECK(cudaMalloc(&b, kBytes));
    CHECK(cudaMemset(a, 0, kBytes));
    CHECK(cudaMemset(b, 0, kBytes));
    CHECK(cudaDeviceSynchronize());
  }
  float first(const float* from) const {
    float value = -1;
    CHECK(cudaMemcpy(&value, from, sizeof value, cudaMemcpyDeviceToHost));
    return value;
  }
  cudaStream_t stream = nullptr, side = nullptr;
  cudaEvent_t fork = nullptr, join = nullptr;
  float* a = nullptr;
  float* b = nullptr;
};

// a += 1 twice on the stream, b += 1 beside it, then a copied to b behind both.
cudaGraph_t capture(const Buffers& m, int additions = 2) {
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeGlobal));
  CHECK(cudaEventRecord(m.fork, m.stream));
  CHECK(cudaStreamWaitEvent(m.side, m.fork, 0));
  for (int i = 0; i < additions; ++i) launch_add_one(m.a, kCount, m.stream);
  launch_add_one(m.b, kCount, m.side);
  CHECK(cudaEventRecord(m.join, m.side));
  CHECK(cudaStreamWaitEvent(m.stream, m.join, 0));
  CHECK(cudaMemcpyAsync(m.b, m.a, kBytes, cudaMemcpyDeviceToDevice, m.stream));
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(m.stream, &graph));
  return graph;
}

int captured() {
  const Buffers m;
  const cudaGraph_t graph = capture(m);
  std::size_t nodes = 0, edges = 0;
  CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
  CHECK(cudaGraphGetEdges(graph, nullptr, nullptr, nullptr, &edges));
  EXPECT(nodes == 4 && edges == 3);
  EXPECT(m.first(m.a) == 0);  // capturing runs nothing
  cudaGraphExec_t exec;
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  CHECK(cudaGraphDestroy(graph));
  for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(exec, m.stream));
  CHECK(cudaStreamSynchronize(m.stream));
  EXPECT(m.first(m.a) == 6 && m.first(m.b) == 6);
  CHECK(cudaGraphExecDestroy(exec));
  EXPECT_STATUS(cudaGraphLaunch(exec, m.stream), cudaErrorInvalidValue);
  cudaGetLastError();
  return 0;
}

void CUDART_CB count_up(void* data) {
  ++*static_cast<int*>(data);
}

int built() {
  const Buffers m;
  cudaGraph_t graph, child;
  CHECK(cudaGraphCreate(&graph, 0));
  CHECK(cudaGraphCreate(&child, 0));
  int count = kCount, calls = 0;
  float* target = m.a;
  void* arguments[] = {&target, &count};
  cudaKernelNodeParams kernel{};
  kernel.func = reinterpret_cast<void*>(add_one);
  kernel.gridDim = dim3(3);
  kernel.blockDim = dim3(128);
  kernel.kernelParams = arguments;
  cudaMemsetParams zero{};
  zero.dst = m.a;
  zero.value = 0x40000000u;  // 2.0f
  zero.elementSize = 4;
  zero.width = kCount;
  zero.height = 1;
  cudaHostNodeParams host{count_up, &calls};
  cudaGraphNode_t nodes[5];
  CHECK(cudaGraphAddMemsetNode(&nodes[0], graph, nullptr, 0, &zero));
  CHECK(cudaGraphAddKernelNode(&nodes[1], graph, &nodes[0], 1, &kernel));
  CHECK(cudaGraphAddHostNode(&nodes[2], child, nullptr, 0, &host));
  CHECK(cudaGraphAddChildGraphNode(&nodes[3], graph, &nodes[1], 1, child));
  CHECK(cudaGraphAddMemcpyNode1D(&nodes[4], graph, &nodes[3], 1, m.b, m.a, kBytes,
                                 cudaMemcpyDeviceToDevice));
  EXPECT_STATUS(cudaGraphAddDependencies(graph, &nodes[4], &nodes[0], nullptr, 1),
                cudaErrorInvalidValue);
  cudaGetLastError();
  target = nullptr;  // arguments were copied
  cudaGraphExec_t exec;
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  CHECK(cudaGraphLaunch(exec, m.stream));
  CHECK(cudaStreamSynchronize(m.stream));
  EXPECT(m.first(m.b) == 3 && calls == 1);
  cudaKernelNodeParams seen{};
  CHECK(cudaGraphKernelNodeGetParams(nodes[1], &seen));
  EXPECT(seen.gridDim.x == 3 && *static_cast<float**>(seen.kernelParams[0]) == m.a);
  target = m.b;
  CHECK(cudaGraphExecKernelNodeSetParams(exec, nodes[1], &kernel));
  CHECK(cudaGraphNodeSetEnabled(exec, nodes[4], 0));
  CHECK(cudaGraphLaunch(exec, m.stream));
  CHECK(cudaStreamSynchronize(m.stream));
  EXPECT(m.first(m.a) == 2 && m.first(m.b) == 4 && calls == 2);
  return 0;
}

int updated() {
  const Buffers m;
  cudaGraphExec_t exec;
  const cudaGraph_t graph = capture(m);
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  Buffers other;
  const cudaGraph_t same = capture(other);
  cudaGraphExecUpdateResultInfo info;
  CHECK(cudaGraphExecUpdate(exec, same, &info));
  CHECK(cudaGraphLaunch(exec, m.stream));
  CHECK(cudaStreamSynchronize(m.stream));
  EXPECT(m.first(m.a) == 0 && other.first(other.b) == 2);
  const cudaGraph_t longer = capture(m, 3);
  EXPECT_STATUS(cudaGraphExecUpdate(exec, longer, &info), cudaErrorGraphExecUpdateFailure);
  EXPECT(info.result == cudaGraphExecUpdateErrorTopologyChanged);
  cudaGetLastError();
  cudaGraph_t copy;
  CHECK(cudaGraphClone(&copy, graph));
  cudaGraphNode_t root, twin;
  std::size_t one = 1;
  CHECK(cudaGraphGetRootNodes(graph, &root, &one));
  CHECK(cudaGraphNodeFindInClone(&twin, root, copy));
  EXPECT(twin != root);
  return 0;
}

int refused() {
  const Buffers m;
  cudaGraph_t graph = nullptr;
  // A stream that joined and was not joined back.
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeGlobal));
  CHECK(cudaEventRecord(m.fork, m.stream));
  CHECK(cudaStreamWaitEvent(m.side, m.fork, 0));
  launch_add_one(m.b, kCount, m.side);
  EXPECT_STATUS(cudaStreamEndCapture(m.stream, &graph), cudaErrorStreamCaptureUnjoined);
  // Waiting while capturing.
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeGlobal));
  EXPECT_STATUS(cudaStreamSynchronize(m.stream), cudaErrorStreamCaptureUnsupported);
  EXPECT_STATUS(cudaStreamEndCapture(m.stream, &graph), cudaErrorStreamCaptureInvalidated);
  // Allocation, but for the relaxed mode.
  void* memory = nullptr;
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeGlobal));
  EXPECT_STATUS(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
  EXPECT_STATUS(cudaStreamEndCapture(m.stream, &graph), cudaErrorStreamCaptureInvalidated);
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeRelaxed));
  CHECK(cudaMalloc(&memory, 16));
  CHECK(cudaStreamEndCapture(m.stream, &graph));
  // The default stream while a blocking stream captures.
  cudaStream_t blocking;
  CHECK(cudaStreamCreate(&blocking));
  CHECK(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  EXPECT_STATUS(cudaMemsetAsync(m.a, 0, 4, nullptr), cudaErrorStreamCaptureImplicit);
  EXPECT_STATUS(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  // An event from outside.
  CHECK(cudaEventRecord(m.join, m.side));
  CHECK(cudaStreamBeginCapture(m.stream, cudaStreamCaptureModeRelaxed));
  EXPECT_STATUS(cudaStreamWaitEvent(m.stream, m.join, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_STATUS(cudaStreamEndCapture(m.stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_STATUS(cudaStreamEndCapture(m.stream, &graph), cudaErrorIllegalState);
  cudaGraphNodeParams conditional{};
  conditional.type = cudaGraphNodeTypeConditional;
  cudaGraphNode_t node;
  CHECK(cudaGraphCreate(&graph, 0));
  EXPECT_STATUS(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &conditional),
                cudaErrorNotSupported);
  cudaGetLastError();
  CHECK(cudaDeviceSynchronize());
  return 0;
}

// What a graph retains lives until the last executable copy of it is gone.
int user_objects() {
  const Buffers m;
  int ended = 0;
  cudaUserObject_t object;
  CHECK(cudaUserObjectCreate(&object, &ended, count_up, 1, cudaUserObjectNoDestructorSync));
  const cudaGraph_t graph = capture(m);
  CHECK(cudaGraphRetainUserObject(graph, object, 1, cudaGraphUserObjectMove));
  cudaGraphExec_t exec;
  CHECK(cudaGraphInstantiate(&exec, graph, 0));
  CHECK(cudaGraphDestroy(graph));
  CHECK(cudaGraphLaunch(exec, m.stream));
  CHECK(cudaStreamSynchronize(m.stream));
  EXPECT(ended == 0);
  CHECK(cudaGraphExecDestroy(exec));
  EXPECT(ended == 1);
  return 0;
}

constexpr Case kCases[] = {{"user_objects", user_objects},
                           {"captured", captured},
                           {"built", built},
                           {"updated", updated},
                           {"refused", refused}};

}  // namespace

int main(int argc, char** argv) {
  return run_case(kCases, argc, argv);
}
