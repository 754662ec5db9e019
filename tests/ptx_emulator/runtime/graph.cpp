#include "tests/ptx_emulator/runtime/graph.h"

#include <algorithm>

#include "tests/ptx_emulator/runtime/runtime.h"

namespace ptx_emulator {
namespace {

template <typename T>
void erase_value(std::vector<T>& values, const T& value) {
  values.erase(std::remove(values.begin(), values.end(), value), values.end());
}

// Queues the graph's nodes behind `before` and returns the work that ends last.
WorkPointer expand(Graph& graph, Device& device, const std::vector<WorkPointer>& before) {
  Scheduler& scheduler = Runtime::instance().scheduler;
  std::unordered_map<const GraphNode*, WorkPointer> works;
  std::vector<WorkPointer> ends;
  for (GraphNode* const node : graph.sorted()) {
    std::vector<WorkPointer> after = before;
    if (!node->dependencies.empty()) after.clear();
    for (const GraphNode* const dependency : node->dependencies) after.push_back(works[dependency]);
    WorkPointer work;
    Device* const where = node->device != nullptr ? node->device : &device;
    if (const auto* child = std::get_if<ChildOperation>(&node->operation);
        child != nullptr && node->enabled) {
      work = expand(*child->graph, *where, after);
    } else {
      if (const auto* wait = std::get_if<EventWaitOperation>(&node->operation)) {
        after.push_back(wait->event->work);
      }
      work = scheduler.add(
          where,
          std::make_shared<const Operation>(node->enabled ? node->operation : EmptyOperation{}),
          after);
      if (const auto* record = std::get_if<EventRecordOperation>(&node->operation)) {
        record->event->capture.reset();
        record->event->work = work;
      }
    }
    works[node] = work;
    if (node->dependents.empty()) ends.push_back(work);
  }
  if (ends.empty()) ends = before;
  return scheduler.add(&device, std::make_shared<const Operation>(EmptyOperation{}), ends);
}

}  // namespace

GraphNode& Graph::add(Device* device, Operation operation,
                      const std::vector<GraphNode*>& dependencies) {
  auto node = std::make_unique<GraphNode>();
  node->graph = this;
  node->device = device;
  node->operation = std::move(operation);
  node->number = next_number++;
  nodes.push_back(std::move(node));
  for (GraphNode* const dependency : dependencies) connect(*dependency, *nodes.back());
  return *nodes.back();
}

void Graph::connect(GraphNode& from, GraphNode& to) {
  if (std::find(to.dependencies.begin(), to.dependencies.end(), &from) != to.dependencies.end()) {
    return;
  }
  to.dependencies.push_back(&from);
  from.dependents.push_back(&to);
}

void Graph::disconnect(GraphNode& from, GraphNode& to) {
  erase_value(to.dependencies, &from);
  erase_value(from.dependents, &to);
}

void Graph::remove(GraphNode& node) {
  while (!node.dependencies.empty()) disconnect(*node.dependencies.back(), node);
  while (!node.dependents.empty()) disconnect(node, *node.dependents.back());
  nodes.erase(std::find_if(nodes.begin(), nodes.end(),
                           [&](const auto& owned) { return owned.get() == &node; }));
}

std::vector<GraphNode*> Graph::sorted() const {
  std::vector<GraphNode*> order;
  std::unordered_map<const GraphNode*, std::size_t> missing;
  for (const auto& node : nodes) {
    missing[node.get()] = node->dependencies.size();
    if (node->dependencies.empty()) order.push_back(node.get());
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (GraphNode* const next : order[i]->dependents) {
      if (--missing[next] == 0) order.push_back(next);
    }
  }
  if (order.size() != nodes.size()) order.clear();
  return order;
}

std::vector<GraphNode*> Graph::leaves() const {
  std::vector<GraphNode*> leaves;
  for (const auto& node : nodes) {
    if (node->dependents.empty()) leaves.push_back(node.get());
  }
  return leaves;
}

std::shared_ptr<Graph> clone(const Graph& graph) {
  auto copy = std::make_shared<Graph>();
  copy->user_objects = graph.user_objects;
  std::unordered_map<const GraphNode*, GraphNode*> made;
  for (const auto& node : graph.nodes) {
    GraphNode& twin = copy->add(node->device, node->operation, {});
    twin.original = node.get();
    twin.enabled = node->enabled;
    if (auto* child = std::get_if<ChildOperation>(&twin.operation)) {
      child->graph = clone(*child->graph);
    }
    made[node.get()] = &twin;
  }
  for (const auto& node : graph.nodes) {
    for (const GraphNode* const dependency : node->dependencies) {
      copy->connect(*made[dependency], *made[node.get()]);
    }
  }
  return copy;
}

std::shared_ptr<Graph>& GraphRegistry::graph(cudaGraph_t handle) {
  const auto found = graphs.find(handle);
  require(found != graphs.end(), "the graph does not exist (any more)");
  return found->second;
}

GraphExec& GraphRegistry::exec(cudaGraphExec_t handle) {
  const auto found = execs.find(handle);
  require(found != execs.end(), "the executable graph does not exist (any more)");
  return *found->second;
}

GraphNode& GraphRegistry::node(cudaGraphNode_t handle) {
  // Nodes of child graphs are reachable too, so all graphs are searched.
  const auto* const wanted = reinterpret_cast<const GraphNode*>(handle);
  std::vector<const Graph*> open;
  for (const auto& [key, graph] : graphs) open.push_back(graph.get());
  while (!open.empty()) {
    const Graph* const graph = open.back();
    open.pop_back();
    for (const auto& node : graph->nodes) {
      if (node.get() == wanted) return *node;
      if (const auto* child = std::get_if<ChildOperation>(&node->operation)) {
        open.push_back(child->graph.get());
      }
    }
  }
  throw ApiError(cudaErrorInvalidValue, "the node belongs to no graph (any more)");
}

cudaGraph_t GraphRegistry::add(std::shared_ptr<Graph> graph) {
  const cudaGraph_t handle = reinterpret_cast<cudaGraph_t>(graph.get());
  graphs[handle] = std::move(graph);
  return handle;
}

void launch(Lock& lock, GraphExec& exec, Stream& stream) {
  if (stream.capture) {
    capture_operation(stream, ChildOperation{clone(*exec.graph)});
    return;
  }
  Runtime& runtime = Runtime::instance();
  std::vector<WorkPointer> before = tail(stream);
  before.push_back(exec.last_launch);
  stream.last = expand(*exec.graph, *stream.device, before);
  exec.last_launch = stream.last;
  runtime.scheduler.limit(lock);
  if (runtime.settings.eager) runtime.scheduler.wait(lock, stream.last);
}

void capture_operation(Stream& stream, Operation operation) {
  Capture& capture = *stream.capture;
  require(!capture.invalid, "", cudaErrorStreamCaptureInvalidated);
  GraphNode& node = capture.graph->add(stream.device, std::move(operation), stream.captured_nodes);
  stream.captured_nodes = {&node};
}

void invalidate(Capture& capture) {
  capture.invalid = true;
}

}  // namespace ptx_emulator
