// Adding nodes, and reading and changing what they do.

#include "tests/ptx_emulator/runtime/graph_nodes.h"
#include "tests/ptx_emulator/runtime/memory_copy.h"

using namespace ptx_emulator;

namespace {

Operation line(Call&, void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  CopyOperation copy = line_copy(to, from, bytes, kind);
  check(copy);
  return copy;
}
Operation to_symbol(Call& call, const void* symbol, const void* from, std::size_t bytes,
                    std::size_t offset, cudaMemcpyKind kind) {
  void* const to = reinterpret_cast<void*>(symbol_address(call, symbol, bytes, offset));
  return line(call, to, from, bytes, kind);
}
Operation from_symbol(Call& call, void* to, const void* symbol, std::size_t bytes,
                      std::size_t offset, cudaMemcpyKind kind) {
  void* const from = reinterpret_cast<void*>(symbol_address(call, symbol, bytes, offset));
  return line(call, to, from, bytes, kind);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* dependencies, std::size_t count,
                                   const cudaKernelNodeParams* parameters) {
  return api("cudaGraphAddKernelNode", [&](Call& call) {
    require(parameters != nullptr);
    add_node(call, node, graph, dependencies, count,
             kernel_operation(call, call.device(), *parameters));
  });
}
cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* dependencies, std::size_t count,
                                   const cudaMemcpy3DParms* parameters) {
  return api("cudaGraphAddMemcpyNode", [&](Call& call) {
    require(parameters != nullptr);
    add_node(call, node, graph, dependencies, count, copy_operation(*parameters));
  });
}
cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* node, cudaGraph_t graph,
                                     const cudaGraphNode_t* dependencies, std::size_t count,
                                     void* to, const void* from, std::size_t bytes,
                                     cudaMemcpyKind kind) {
  return api("cudaGraphAddMemcpyNode1D", [&](Call& call) {
    add_node(call, node, graph, dependencies, count, line(call, to, from, bytes, kind));
  });
}
cudaError_t cudaGraphAddMemcpyNodeToSymbol(cudaGraphNode_t* node, cudaGraph_t graph,
                                           const cudaGraphNode_t* dependencies, std::size_t count,
                                           const void* symbol, const void* from, std::size_t bytes,
                                           std::size_t offset, cudaMemcpyKind kind) {
  return api("cudaGraphAddMemcpyNodeToSymbol", [&](Call& call) {
    add_node(call, node, graph, dependencies, count,
             to_symbol(call, symbol, from, bytes, offset, kind));
  });
}
cudaError_t cudaGraphAddMemcpyNodeFromSymbol(cudaGraphNode_t* node, cudaGraph_t graph,
                                             const cudaGraphNode_t* dependencies, std::size_t count,
                                             void* to, const void* symbol, std::size_t bytes,
                                             std::size_t offset, cudaMemcpyKind kind) {
  return api("cudaGraphAddMemcpyNodeFromSymbol", [&](Call& call) {
    add_node(call, node, graph, dependencies, count,
             from_symbol(call, to, symbol, bytes, offset, kind));
  });
}
cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                   const cudaGraphNode_t* dependencies, std::size_t count,
                                   const cudaMemsetParams* parameters) {
  return api("cudaGraphAddMemsetNode", [&](Call& call) {
    require(parameters != nullptr);
    add_node(call, node, graph, dependencies, count, fill_operation(*parameters));
  });
}
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                 const cudaGraphNode_t* dependencies, std::size_t count,
                                 const cudaHostNodeParams* parameters) {
  return api("cudaGraphAddHostNode", [&](Call& call) {
    require(parameters != nullptr);
    add_node(call, node, graph, dependencies, count, host_operation(*parameters));
  });
}
cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                  const cudaGraphNode_t* dependencies, std::size_t count) {
  return api("cudaGraphAddEmptyNode", [&](Call& call) {
    add_node(call, node, graph, dependencies, count, EmptyOperation{});
  });
}
cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                       const cudaGraphNode_t* dependencies, std::size_t count,
                                       cudaGraph_t child) {
  return api("cudaGraphAddChildGraphNode", [&](Call& call) {
    add_node(call, node, graph, dependencies, count, child_operation(call, child));
  });
}
cudaError_t cudaGraphAddEventRecordNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                        const cudaGraphNode_t* dependencies, std::size_t count,
                                        cudaEvent_t event) {
  return api("cudaGraphAddEventRecordNode", [&](Call& call) {
    add_node(call, node, graph, dependencies, count, EventRecordOperation{call.event(event)});
  });
}
cudaError_t cudaGraphAddEventWaitNode(cudaGraphNode_t* node, cudaGraph_t graph,
                                      const cudaGraphNode_t* dependencies, std::size_t count,
                                      cudaEvent_t event) {
  return api("cudaGraphAddEventWaitNode", [&](Call& call) {
    add_node(call, node, graph, dependencies, count, EventWaitOperation{call.event(event)});
  });
}
cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph,
                             const cudaGraphNode_t* dependencies, const cudaGraphEdgeData*,
                             std::size_t count, cudaGraphNodeParams* parameters) {
  return api("cudaGraphAddNode", [&](Call& call) {
    require(parameters != nullptr);
    add_node(call, node, graph, dependencies, count,
             operation_of(call, call.device(), *parameters));
  });
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* parameters) {
  return api("cudaGraphKernelNodeGetParams", [&](Call& call) {
    require(parameters != nullptr);
    GraphNode& one = call.runtime.graphs.node(node);
    KernelOperation& kernel = operation_in<KernelOperation>(one);
    one.arguments.clear();
    for (const Code::Parameter& parameter : kernel.code->parameters) {
      one.arguments.push_back(kernel.parameters.data() + parameter.offset);
    }
    parameters->func = const_cast<void*>(kernel.function);
    parameters->gridDim = dim3(kernel.grid.x, kernel.grid.y, kernel.grid.z);
    parameters->blockDim = dim3(kernel.block.x, kernel.block.y, kernel.block.z);
    parameters->sharedMemBytes = kernel.dynamic_shared_bytes;
    parameters->kernelParams = one.arguments.data();
    parameters->extra = nullptr;
  });
}
cudaError_t cudaGraphMemcpyNodeGetParams(cudaGraphNode_t node, cudaMemcpy3DParms* parameters) {
  return api("cudaGraphMemcpyNodeGetParams", [&](Call& call) {
    require(parameters != nullptr);
    *parameters = operation_in<CopyOperation>(call.runtime.graphs.node(node)).asked;
  });
}
cudaError_t cudaGraphMemsetNodeGetParams(cudaGraphNode_t node, cudaMemsetParams* parameters) {
  return api("cudaGraphMemsetNodeGetParams", [&](Call& call) {
    require(parameters != nullptr);
    const FillOperation& fill = operation_in<FillOperation>(call.runtime.graphs.node(node));
    *parameters = {reinterpret_cast<void*>(fill.to.address),
                   fill.to.row_pitch,
                   fill.value,
                   fill.element_bytes,
                   fill.width,
                   fill.height};
  });
}
cudaError_t cudaGraphHostNodeGetParams(cudaGraphNode_t node, cudaHostNodeParams* parameters) {
  return api("cudaGraphHostNodeGetParams", [&](Call& call) {
    require(parameters != nullptr);
    const HostOperation& host = operation_in<HostOperation>(call.runtime.graphs.node(node));
    *parameters = {host.function, host.data};
  });
}
cudaError_t cudaGraphChildGraphNodeGetGraph(cudaGraphNode_t node, cudaGraph_t* graph) {
  return api("cudaGraphChildGraphNodeGetGraph", [&](Call& call) {
    require(graph != nullptr);
    *graph =
        call.runtime.graphs.add(operation_in<ChildOperation>(call.runtime.graphs.node(node)).graph);
  });
}

cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node,
                                         const cudaKernelNodeParams* parameters) {
  return api("cudaGraphKernelNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    GraphNode& one = call.runtime.graphs.node(node);
    set_operation(one, kernel_operation(call, *one.device, *parameters));
  });
}
cudaError_t cudaGraphMemcpyNodeSetParams(cudaGraphNode_t node,
                                         const cudaMemcpy3DParms* parameters) {
  return api("cudaGraphMemcpyNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(call.runtime.graphs.node(node), copy_operation(*parameters));
  });
}
cudaError_t cudaGraphMemcpyNodeSetParams1D(cudaGraphNode_t node, void* to, const void* from,
                                           std::size_t bytes, cudaMemcpyKind kind) {
  return api("cudaGraphMemcpyNodeSetParams1D", [&](Call& call) {
    set_operation(call.runtime.graphs.node(node), line(call, to, from, bytes, kind));
  });
}
cudaError_t cudaGraphMemsetNodeSetParams(cudaGraphNode_t node, const cudaMemsetParams* parameters) {
  return api("cudaGraphMemsetNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(call.runtime.graphs.node(node), fill_operation(*parameters));
  });
}
cudaError_t cudaGraphHostNodeSetParams(cudaGraphNode_t node, const cudaHostNodeParams* parameters) {
  return api("cudaGraphHostNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(call.runtime.graphs.node(node), host_operation(*parameters));
  });
}
cudaError_t cudaGraphNodeSetParams(cudaGraphNode_t node, cudaGraphNodeParams* parameters) {
  return api("cudaGraphNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    GraphNode& one = call.runtime.graphs.node(node);
    set_operation(one, operation_of(call, *one.device, *parameters));
  });
}
cudaError_t cudaGraphKernelNodeSetAttribute(cudaGraphNode_t node, cudaLaunchAttributeID attribute,
                                            const cudaLaunchAttributeValue* value) {
  return api("cudaGraphKernelNodeSetAttribute", [&](Call& call) {
    require(value != nullptr);
    KernelOperation& kernel = operation_in<KernelOperation>(call.runtime.graphs.node(node));
    if (attribute == cudaLaunchAttributeCooperative) kernel.cooperative = value->cooperative != 0;
    if (attribute == cudaLaunchAttributePriority) kernel.priority = value->priority;
    if (attribute == cudaLaunchAttributeClusterDimension) {
      kernel.cluster = {value->clusterDim.x, value->clusterDim.y, value->clusterDim.z};
    }
  });
}
cudaError_t cudaGraphKernelNodeGetAttribute(cudaGraphNode_t node, cudaLaunchAttributeID attribute,
                                            cudaLaunchAttributeValue* value) {
  return api("cudaGraphKernelNodeGetAttribute", [&](Call& call) {
    require(value != nullptr);
    const KernelOperation& kernel = operation_in<KernelOperation>(call.runtime.graphs.node(node));
    *value = {};
    if (attribute == cudaLaunchAttributeCooperative) value->cooperative = kernel.cooperative;
    if (attribute == cudaLaunchAttributePriority) value->priority = kernel.priority;
    if (attribute == cudaLaunchAttributeClusterDimension) {
      value->clusterDim.x = kernel.cluster.x;
      value->clusterDim.y = kernel.cluster.y;
      value->clusterDim.z = kernel.cluster.z;
    }
  });
}

}  // extern "C"
#pragma GCC visibility pop
