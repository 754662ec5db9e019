#include "tests/ptx_emulator/runtime/graph_nodes.h"

#include "tests/ptx_emulator/runtime/kernel_launch.h"
#include "tests/ptx_emulator/runtime/memory_copy.h"

namespace ptx_emulator {

cudaGraphNodeType type_of(const GraphNode& node) {
  const Operation& o = node.operation;
  if (std::holds_alternative<KernelOperation>(o)) return cudaGraphNodeTypeKernel;
  if (std::holds_alternative<CopyOperation>(o)) return cudaGraphNodeTypeMemcpy;
  if (std::holds_alternative<FillOperation>(o)) return cudaGraphNodeTypeMemset;
  if (std::holds_alternative<ChildOperation>(o)) return cudaGraphNodeTypeGraph;
  if (std::holds_alternative<EventWaitOperation>(o)) return cudaGraphNodeTypeWaitEvent;
  if (std::holds_alternative<EventRecordOperation>(o)) return cudaGraphNodeTypeEventRecord;
  if (std::holds_alternative<HostOperation>(o)) return cudaGraphNodeTypeHost;
  // The work of another library is a kernel on hardware.
  if (std::holds_alternative<ForeignOperation>(o)) return cudaGraphNodeTypeKernel;
  return cudaGraphNodeTypeEmpty;
}

Operation kernel_operation(Call& call, Device& device, const cudaKernelNodeParams& parameters) {
  LaunchRequest request;
  request.function = parameters.func;
  request.grid = parameters.gridDim;
  request.block = parameters.blockDim;
  request.shared_bytes = parameters.sharedMemBytes;
  request.arguments = parameters.kernelParams;
  request.extra = parameters.extra;
  return make_launch(call, device, request);
}

Operation copy_operation(const cudaMemcpy3DParms& parameters) {
  CopyOperation copy = volume_copy(parameters);
  check(copy);
  return copy;
}

Operation fill_operation(const cudaMemsetParams& p) {
  require(p.elementSize == 1 || p.elementSize == 2 || p.elementSize == 4,
          "an element has 1, 2 or 4 bytes");
  FillOperation fill = plane_fill(p.dst, p.pitch, p.value, p.elementSize, p.width, p.height);
  check(fill);
  return fill;
}

Operation host_operation(const cudaHostNodeParams& parameters) {
  require(parameters.fn != nullptr, "the function is null");
  return HostOperation{parameters.fn, parameters.userData};
}

Operation child_operation(Call& call, cudaGraph_t graph) {
  return ChildOperation{clone(*call.runtime.graphs.graph(graph))};
}

Operation operation_of(Call& call, Device& device, const cudaGraphNodeParams& p) {
  switch (p.type) {
    case cudaGraphNodeTypeKernel:
      return kernel_operation(call, device,
                              {p.kernel.func, p.kernel.gridDim, p.kernel.blockDim,
                               p.kernel.sharedMemBytes, p.kernel.kernelParams, p.kernel.extra});
    case cudaGraphNodeTypeMemcpy:
      return copy_operation(p.memcpy.copyParams);
    case cudaGraphNodeTypeMemset:
      return fill_operation({p.memset.dst, p.memset.pitch, p.memset.value, p.memset.elementSize,
                             p.memset.width, p.memset.height});
    case cudaGraphNodeTypeHost:
      return host_operation({p.host.fn, p.host.userData});
    case cudaGraphNodeTypeGraph:
      return child_operation(call, p.graph.graph);
    case cudaGraphNodeTypeEmpty:
      return EmptyOperation{};
    case cudaGraphNodeTypeWaitEvent:
      return EventWaitOperation{call.event(p.eventWait.event)};
    case cudaGraphNodeTypeEventRecord:
      return EventRecordOperation{call.event(p.eventRecord.event)};
    case cudaGraphNodeTypeConditional:
      throw ApiError(cudaErrorNotSupported, "conditional nodes are not supported");
    default:
      throw ApiError(cudaErrorNotSupported,
                     "graph nodes of type " + std::to_string(p.type) + " are not supported");
  }
}

void add_node(Call& call, cudaGraphNode_t* node, cudaGraph_t graph,
              const cudaGraphNode_t* dependencies, std::size_t count, Operation operation) {
  require(node != nullptr && (count == 0 || dependencies != nullptr));
  Graph& target = *call.runtime.graphs.graph(graph);
  std::vector<GraphNode*> before;
  for (std::size_t i = 0; i < count; ++i) {
    GraphNode& dependency = call.runtime.graphs.node(dependencies[i]);
    require(dependency.graph == &target, "a dependency is a node of another graph");
    before.push_back(&dependency);
  }
  *node = handle_of(&target.add(&call.device(), std::move(operation), before));
}

void set_operation(GraphNode& node, Operation operation) {
  require(node.operation.index() == operation.index(), "the node is of another type");
  node.operation = std::move(operation);
}

GraphNode& twin(Call& call, cudaGraphExec_t exec, cudaGraphNode_t node) {
  GraphExec& executable = call.runtime.graphs.exec(exec);
  const auto found = executable.by_original.find(reinterpret_cast<const GraphNode*>(node));
  require(found != executable.by_original.end(), "the node is none of the executable graph's");
  return *found->second;
}

}  // namespace ptx_emulator
