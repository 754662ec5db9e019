// Executable graphs.

#include <algorithm>

#include "tests/ptx_emulator/runtime/graph_nodes.h"
#include "tests/ptx_emulator/runtime/memory_copy.h"

using namespace ptx_emulator;

namespace {

// Nested graphs' nodes are found too.
void index_nodes(GraphExec& exec, const Graph& graph) {
  for (const auto& node : graph.nodes) {
    exec.by_original[node->original] = node.get();
    if (const auto* child = std::get_if<ChildOperation>(&node->operation)) {
      index_nodes(exec, *child->graph);
    }
  }
}

cudaGraphExec_t instantiate(Call& call, cudaGraph_t graph, unsigned long long flags) {
  auto exec = std::make_unique<GraphExec>();
  require((flags & cudaGraphInstantiateFlagDeviceLaunch) == 0,
          "graphs that the device launches are not supported", cudaErrorNotSupported);
  exec->graph = clone(*call.runtime.graphs.graph(graph));
  exec->flags = flags;
  index_nodes(*exec, *exec->graph);
  const cudaGraphExec_t handle = reinterpret_cast<cudaGraphExec_t>(exec.get());
  call.runtime.graphs.execs[handle] = std::move(exec);
  return handle;
}

// Whether the executable graph's nodes are of the same types and have the same dependencies, by
// their order of making. The node where they differ first goes to `info`.
bool same_shape(const Graph& own, const Graph& other, cudaGraphExecUpdateResultInfo& info) {
  info.result = cudaGraphExecUpdateErrorTopologyChanged;
  if (own.nodes.size() != other.nodes.size()) return false;
  std::unordered_map<const GraphNode*, std::size_t> place;
  for (std::size_t i = 0; i < own.nodes.size(); ++i) {
    place[own.nodes[i].get()] = i;
    place[other.nodes[i].get()] = i;
  }
  for (std::size_t i = 0; i < own.nodes.size(); ++i) {
    const GraphNode& a = *own.nodes[i];
    const GraphNode& b = *other.nodes[i];
    info.errorNode = handle_of(&b);
    if (a.operation.index() != b.operation.index()) {
      info.result = cudaGraphExecUpdateErrorNodeTypeChanged;
      return false;
    }
    if (a.dependencies.size() != b.dependencies.size()) return false;
    for (std::size_t k = 0; k < a.dependencies.size(); ++k) {
      if (place[a.dependencies[k]] != place[b.dependencies[k]]) return false;
    }
    const auto* child = std::get_if<ChildOperation>(&a.operation);
    if (child != nullptr &&
        !same_shape(*child->graph, *std::get<ChildOperation>(b.operation).graph, info)) {
      return false;
    }
  }
  info = {cudaGraphExecUpdateSuccess, nullptr, nullptr};
  return true;
}

void take_over(GraphExec& exec, Graph& own, const Graph& other) {
  for (std::size_t i = 0; i < own.nodes.size(); ++i) {
    GraphNode& node = *own.nodes[i];
    exec.by_original[other.nodes[i].get()] = &node;
    if (auto* child = std::get_if<ChildOperation>(&node.operation)) {
      take_over(exec, *child->graph, *std::get<ChildOperation>(other.nodes[i]->operation).graph);
    } else {
      node.operation = other.nodes[i]->operation;
    }
  }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                          unsigned long long flags) {
  return api("cudaGraphInstantiate", [&](Call& call) {
    require(exec != nullptr);
    *exec = instantiate(call, graph, flags);
  });
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(exec, graph, flags);
}
cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* exec, cudaGraph_t graph,
                                           cudaGraphInstantiateParams* parameters) {
  return api("cudaGraphInstantiateWithParams", [&](Call& call) {
    require(exec != nullptr && parameters != nullptr);
    parameters->errNode_out = nullptr;
    parameters->result_out = cudaGraphInstantiateError;
    *exec = instantiate(call, graph, parameters->flags);
    parameters->result_out = cudaGraphInstantiateSuccess;
  });
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return api("cudaGraphExecDestroy", [&](Call& call) {
    call.runtime.graphs.exec(exec);
    GraphRegistry& graphs = call.runtime.graphs;
    const auto found = graphs.execs.find(exec);
    const auto is_idle = [](const std::unique_ptr<GraphExec>& one) {
      return !one->last_launch || one->last_launch->done;
    };
    if (!is_idle(found->second)) graphs.retired.push_back(std::move(found->second));
    graphs.execs.erase(found);
    graphs.retired.erase(std::remove_if(graphs.retired.begin(), graphs.retired.end(), is_idle),
                         graphs.retired.end());
  });
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return api("cudaGraphLaunch", [&](Call& call) {
    launch(call.lock, call.runtime.graphs.exec(exec), call.stream(stream));
  });
}
cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return api("cudaGraphUpload", [&](Call& call) {
    call.runtime.graphs.exec(exec);
    call.stream(stream);
  });
}
cudaError_t cudaGraphExecGetFlags(cudaGraphExec_t exec, unsigned long long* flags) {
  return api("cudaGraphExecGetFlags", [&](Call& call) {
    require(flags != nullptr);
    *flags = call.runtime.graphs.exec(exec).flags;
  });
}
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  return api("cudaGraphExecUpdate", [&](Call& call) {
    require(info != nullptr);
    GraphExec& own = call.runtime.graphs.exec(exec);
    const Graph& other = *call.runtime.graphs.graph(graph);
    require(same_shape(*own.graph, other, *info), "", cudaErrorGraphExecUpdateFailure);
    take_over(own, *own.graph, other);
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* parameters) {
  return api("cudaGraphExecKernelNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    GraphNode& one = twin(call, exec, node);
    set_operation(one, kernel_operation(call, *one.device, *parameters));
  });
}
cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaMemcpy3DParms* parameters) {
  return api("cudaGraphExecMemcpyNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(twin(call, exec, node), copy_operation(*parameters));
  });
}
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t exec, cudaGraphNode_t node, void* to,
                                               const void* from, std::size_t bytes,
                                               cudaMemcpyKind kind) {
  return api("cudaGraphExecMemcpyNodeSetParams1D", [&](Call& call) {
    CopyOperation copy = line_copy(to, from, bytes, kind);
    check(copy);
    set_operation(twin(call, exec, node), std::move(copy));
  });
}
cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaMemsetParams* parameters) {
  return api("cudaGraphExecMemsetNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(twin(call, exec, node), fill_operation(*parameters));
  });
}
cudaError_t cudaGraphExecHostNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                           const cudaHostNodeParams* parameters) {
  return api("cudaGraphExecHostNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    set_operation(twin(call, exec, node), host_operation(*parameters));
  });
}
cudaError_t cudaGraphExecChildGraphNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                 cudaGraph_t child) {
  return api("cudaGraphExecChildGraphNodeSetParams", [&](Call& call) {
    set_operation(twin(call, exec, node), child_operation(call, child));
  });
}
cudaError_t cudaGraphExecEventRecordNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                                 cudaEvent_t event) {
  return api("cudaGraphExecEventRecordNodeSetEvent", [&](Call& call) {
    set_operation(twin(call, exec, node), EventRecordOperation{call.event(event)});
  });
}
cudaError_t cudaGraphExecEventWaitNodeSetEvent(cudaGraphExec_t exec, cudaGraphNode_t node,
                                               cudaEvent_t event) {
  return api("cudaGraphExecEventWaitNodeSetEvent", [&](Call& call) {
    set_operation(twin(call, exec, node), EventWaitOperation{call.event(event)});
  });
}
cudaError_t cudaGraphExecNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                       cudaGraphNodeParams* parameters) {
  return api("cudaGraphExecNodeSetParams", [&](Call& call) {
    require(parameters != nullptr);
    GraphNode& one = twin(call, exec, node);
    set_operation(one, operation_of(call, *one.device, *parameters));
  });
}
cudaError_t cudaGraphNodeSetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned enabled) {
  return api("cudaGraphNodeSetEnabled",
             [&](Call& call) { twin(call, exec, node).enabled = enabled != 0; });
}
cudaError_t cudaGraphNodeGetEnabled(cudaGraphExec_t exec, cudaGraphNode_t node, unsigned* enabled) {
  return api("cudaGraphNodeGetEnabled", [&](Call& call) {
    require(enabled != nullptr);
    *enabled = twin(call, exec, node).enabled;
  });
}

}  // extern "C"
#pragma GCC visibility pop
