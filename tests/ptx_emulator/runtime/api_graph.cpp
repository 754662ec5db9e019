// Graphs: making, nodes and edges, cloning, printing.

#include <fstream>

#include "tests/ptx_emulator/runtime/graph_nodes.h"

using namespace ptx_emulator;

namespace {

const char* type_name(cudaGraphNodeType type) {
  switch (type) {
    case cudaGraphNodeTypeKernel:
      return "kernel";
    case cudaGraphNodeTypeMemcpy:
      return "copy";
    case cudaGraphNodeTypeMemset:
      return "fill";
    case cudaGraphNodeTypeHost:
      return "host";
    case cudaGraphNodeTypeGraph:
      return "graph";
    case cudaGraphNodeTypeWaitEvent:
      return "wait for event";
    case cudaGraphNodeTypeEventRecord:
      return "record event";
    default:
      return "empty";
  }
}

// Hands out a list as the interface does: the count alone where `out` is null, else as much as
// there is room for.
void give(const std::vector<GraphNode*>& nodes, cudaGraphNode_t* out, std::size_t* count) {
  require(count != nullptr);
  if (out != nullptr) {
    for (std::size_t i = 0; i < *count; ++i) {
      out[i] = i < nodes.size() ? handle_of(nodes[i]) : nullptr;
    }
    *count = std::min(*count, nodes.size());
  } else {
    *count = nodes.size();
  }
}

std::vector<GraphNode*> pointers(const Graph& graph) {
  std::vector<GraphNode*> nodes;
  for (const auto& node : graph.nodes) nodes.push_back(node.get());
  return nodes;
}

std::string dot_text(const Graph& graph) {
  std::string text = "digraph graph_1 {\n";
  for (const auto& node : graph.nodes) {
    std::string label = type_name(type_of(*node));
    if (const auto* kernel = std::get_if<KernelOperation>(&node->operation)) {
      label += " " + kernel->code->demangled;
    }
    text += "  n" + std::to_string(node->number) + " [label=\"" + label + "\"];\n";
  }
  for (const auto& node : graph.nodes) {
    for (const GraphNode* const next : node->dependents) {
      text += "  n" + std::to_string(node->number) + " -> n" + std::to_string(next->number) + ";\n";
    }
  }
  return text + "}\n";
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return api("cudaGraphCreate", [&](Call& call) {
    require(graph != nullptr && flags == 0);
    *graph = call.runtime.graphs.add(std::make_shared<Graph>());
  });
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api("cudaGraphDestroy", [&](Call& call) {
    call.runtime.graphs.graph(graph);
    call.runtime.graphs.graphs.erase(graph);
  });
}
cudaError_t cudaGraphClone(cudaGraph_t* copy, cudaGraph_t graph) {
  return api("cudaGraphClone", [&](Call& call) {
    require(copy != nullptr);
    *copy = call.runtime.graphs.add(clone(*call.runtime.graphs.graph(graph)));
  });
}
cudaError_t cudaGraphNodeFindInClone(cudaGraphNode_t* found, cudaGraphNode_t original,
                                     cudaGraph_t copy) {
  return api("cudaGraphNodeFindInClone", [&](Call& call) {
    require(found != nullptr);
    for (const auto& node : call.runtime.graphs.graph(copy)->nodes) {
      if (handle_of(node->original) != original) continue;
      *found = handle_of(node.get());
      return;
    }
    throw ApiError(cudaErrorInvalidValue, "the clone has no such node");
  });
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return api("cudaGraphGetNodes",
             [&](Call& call) { give(pointers(*call.runtime.graphs.graph(graph)), nodes, count); });
}
cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return api("cudaGraphGetRootNodes", [&](Call& call) {
    std::vector<GraphNode*> roots;
    for (GraphNode* const node : pointers(*call.runtime.graphs.graph(graph))) {
      if (node->dependencies.empty()) roots.push_back(node);
    }
    give(roots, nodes, count);
  });
}
cudaError_t cudaGraphGetEdges(cudaGraph_t graph, cudaGraphNode_t* from, cudaGraphNode_t* to,
                              cudaGraphEdgeData* data, std::size_t* count) {
  return api("cudaGraphGetEdges", [&](Call& call) {
    std::vector<GraphNode*> begins, ends;
    for (GraphNode* const node : pointers(*call.runtime.graphs.graph(graph))) {
      for (GraphNode* const next : node->dependents) {
        begins.push_back(node);
        ends.push_back(next);
      }
    }
    require(count != nullptr && (from == nullptr) == (to == nullptr));
    std::size_t room = *count;
    give(begins, from, &room);
    give(ends, to, count);
    for (std::size_t i = 0; data != nullptr && i < *count; ++i) data[i] = {};
  });
}
cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t* nodes,
                                         cudaGraphEdgeData* data, std::size_t* count) {
  return api("cudaGraphNodeGetDependencies", [&](Call& call) {
    give(call.runtime.graphs.node(node).dependencies, nodes, count);
    for (std::size_t i = 0; data != nullptr && i < *count; ++i) data[i] = {};
  });
}
cudaError_t cudaGraphNodeGetDependentNodes(cudaGraphNode_t node, cudaGraphNode_t* nodes,
                                           cudaGraphEdgeData* data, std::size_t* count) {
  return api("cudaGraphNodeGetDependentNodes", [&](Call& call) {
    give(call.runtime.graphs.node(node).dependents, nodes, count);
    for (std::size_t i = 0; data != nullptr && i < *count; ++i) data[i] = {};
  });
}
cudaError_t cudaGraphAddDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                     const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                     std::size_t count) {
  return api("cudaGraphAddDependencies", [&](Call& call) {
    Graph& target = *call.runtime.graphs.graph(graph);
    require(count == 0 || (from != nullptr && to != nullptr));
    for (std::size_t i = 0; i < count; ++i) {
      GraphNode& begin = call.runtime.graphs.node(from[i]);
      GraphNode& end = call.runtime.graphs.node(to[i]);
      require(begin.graph == &target && end.graph == &target && &begin != &end,
              "the nodes are not both of this graph");
      target.connect(begin, end);
      if (!target.sorted().empty()) continue;
      target.disconnect(begin, end);
      throw ApiError(cudaErrorInvalidValue, "the dependency would close a cycle");
    }
  });
}
cudaError_t cudaGraphRemoveDependencies(cudaGraph_t graph, const cudaGraphNode_t* from,
                                        const cudaGraphNode_t* to, const cudaGraphEdgeData*,
                                        std::size_t count) {
  return api("cudaGraphRemoveDependencies", [&](Call& call) {
    Graph& target = *call.runtime.graphs.graph(graph);
    require(count == 0 || (from != nullptr && to != nullptr));
    for (std::size_t i = 0; i < count; ++i) {
      target.disconnect(call.runtime.graphs.node(from[i]), call.runtime.graphs.node(to[i]));
    }
  });
}
cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node) {
  return api("cudaGraphDestroyNode", [&](Call& call) {
    GraphNode& one = call.runtime.graphs.node(node);
    one.graph->remove(one);
  });
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return api("cudaGraphNodeGetType", [&](Call& call) {
    require(type != nullptr);
    *type = type_of(call.runtime.graphs.node(node));
  });
}
cudaError_t cudaGraphDebugDotPrint(cudaGraph_t graph, const char* path, unsigned) {
  return api("cudaGraphDebugDotPrint", [&](Call& call) {
    require(path != nullptr);
    std::ofstream file(path);
    file << dot_text(*call.runtime.graphs.graph(graph));
    file.close();
    require(!file.fail(), "the file cannot be written", cudaErrorOperatingSystem);
  });
}

}  // extern "C"
#pragma GCC visibility pop
