#pragma once
// Graphs: nodes with dependencies, capture of streams into them, and executable copies.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tests/ptx_emulator/runtime/operation.h"
#include "tests/ptx_emulator/runtime/work.h"

namespace ptx_emulator {

struct Graph;
struct Stream;

struct GraphNode {
  Graph* graph = nullptr;
  Device* device = nullptr;
  Operation operation;
  std::vector<GraphNode*> dependencies;
  std::vector<GraphNode*> dependents;
  std::uint64_t number = 0;             // in its graph, in the order of making
  const GraphNode* original = nullptr;  // of a clone's node: what it was made from
  bool enabled = true;
  std::vector<void*> arguments;  // of a kernel: into its parameters, for programs that ask for them
};

// Calls the program's function at its end.
struct UserObject {
  UserObject(cudaHostFn_t destroy_function, void* object)
      : destroy(destroy_function), data(object) {}
  ~UserObject() { destroy(data); }
  UserObject(const UserObject&) = delete;
  UserObject& operator=(const UserObject&) = delete;
  cudaHostFn_t destroy;
  void* data;
};
struct UserObjectEntry {
  std::shared_ptr<UserObject> object;
  unsigned count = 0;  // the program's own references
};

struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;
  std::uint64_t next_number = 0;
  std::vector<std::shared_ptr<UserObject>> user_objects;  // one for each reference

  GraphNode& add(Device* device, Operation operation, const std::vector<GraphNode*>& dependencies);
  void connect(GraphNode& from, GraphNode& to);
  void disconnect(GraphNode& from, GraphNode& to);
  void remove(GraphNode& node);
  // Nodes so that each comes after its dependencies; empty where there is a cycle.
  std::vector<GraphNode*> sorted() const;
  std::vector<GraphNode*> leaves() const;
};

// A deep copy; nodes keep a pointer to what they were made from.
std::shared_ptr<Graph> clone(const Graph& graph);

struct GraphExec {
  std::shared_ptr<Graph> graph;  // its own copy
  unsigned long long flags = 0;
  std::unordered_map<const GraphNode*, GraphNode*> by_original;
  WorkPointer last_launch;  // launches of one executable graph follow each other
};

// A capture under way: all streams that joined it.
struct Capture {
  std::uint64_t id = 0;
  std::shared_ptr<Graph> graph;
  cudaGraph_t handle = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::uint64_t thread = 0;
  Stream* origin = nullptr;
  std::vector<Stream*> streams;
  bool invalid = false;
};

// Handles of graphs, nodes and executable graphs that the program holds.
struct GraphRegistry {
  std::unordered_map<cudaGraph_t, std::shared_ptr<Graph>> graphs;
  std::unordered_map<cudaGraphExec_t, std::unique_ptr<GraphExec>> execs;
  std::vector<std::weak_ptr<Capture>> captures;
  std::unordered_map<cudaUserObject_t, UserObjectEntry> user_objects;
  std::vector<std::unique_ptr<GraphExec>>
      retired;  // destroyed by the program while a launch was queued

  std::shared_ptr<Graph>& graph(cudaGraph_t handle);
  GraphExec& exec(cudaGraphExec_t handle);
  GraphNode& node(cudaGraphNode_t handle);
  cudaGraph_t add(std::shared_ptr<Graph> graph);
};

// Queues all of the graph behind the stream's work.
void launch(Lock& lock, GraphExec& exec, Stream& stream);
// Adds an operation to the graph that the stream captures into.
void capture_operation(Stream& stream, Operation operation);
// Makes a capture invalid: it ends with an error.
void invalidate(Capture& capture);

}  // namespace ptx_emulator
