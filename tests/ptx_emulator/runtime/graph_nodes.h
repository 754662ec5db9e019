#pragma once
// Nodes as the program describes and sees them.

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {

inline cudaGraphNode_t handle_of(const GraphNode* node) {
  return reinterpret_cast<cudaGraphNode_t>(const_cast<GraphNode*>(node));
}
cudaGraphNodeType type_of(const GraphNode& node);

// Operations from the structures of the interface, checked as the calls outside graphs check them.
// Throw ApiError.
Operation kernel_operation(Call& call, Device& device, const cudaKernelNodeParams& parameters);
Operation copy_operation(const cudaMemcpy3DParms& parameters);
Operation fill_operation(const cudaMemsetParams& parameters);
Operation host_operation(const cudaHostNodeParams& parameters);
Operation child_operation(Call& call, cudaGraph_t graph);
// Of any type; names the types that are not supported.
Operation operation_of(Call& call, Device& device, const cudaGraphNodeParams& parameters);

// Adds a node behind `dependencies`.
void add_node(Call& call, cudaGraphNode_t* node, cudaGraph_t graph,
              const cudaGraphNode_t* dependencies, std::size_t count, Operation operation);
// Replaces what a node does by another operation of the same type.
void set_operation(GraphNode& node, Operation operation);
// The node of the executable graph that was made from this one.
GraphNode& twin(Call& call, cudaGraphExec_t exec, cudaGraphNode_t node);

template <typename T>
T& operation_in(GraphNode& node) {
  T* const operation = std::get_if<T>(&node.operation);
  require(operation != nullptr, "the node is of another type");
  return *operation;
}

}  // namespace ptx_emulator
