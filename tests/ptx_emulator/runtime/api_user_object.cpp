// Objects of the program that live as long as graphs which retain them.

#include "tests/ptx_emulator/runtime/runtime.h"

using namespace ptx_emulator;

namespace {

UserObjectEntry& entry_of(Call& call, cudaUserObject_t object) {
  const auto found = call.runtime.graphs.user_objects.find(object);
  require(found != call.runtime.graphs.user_objects.end(), "the object does not exist (any more)");
  return found->second;
}

// Gives up `count` references of the program's own.
void give_up(Call& call, cudaUserObject_t object, unsigned count) {
  UserObjectEntry& entry = entry_of(call, object);
  require(count >= 1 && count <= entry.count, "more references than the program holds");
  entry.count -= count;
  if (entry.count == 0) call.runtime.graphs.user_objects.erase(object);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void* pointer, cudaHostFn_t destroy,
                                 unsigned count, unsigned flags) {
  return api("cudaUserObjectCreate", [&](Call& call) {
    require(object != nullptr && destroy != nullptr && count >= 1 &&
            flags == cudaUserObjectNoDestructorSync);
    auto owned = std::make_shared<UserObject>(destroy, pointer);
    *object = reinterpret_cast<cudaUserObject_t>(owned.get());
    call.runtime.graphs.user_objects[*object] = {std::move(owned), count};
  });
}
cudaError_t cudaUserObjectRetain(cudaUserObject_t object, unsigned count) {
  return api("cudaUserObjectRetain", [&](Call& call) { entry_of(call, object).count += count; });
}
cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned count) {
  return api("cudaUserObjectRelease", [&](Call& call) { give_up(call, object, count); });
}
cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned count,
                                      unsigned flags) {
  return api("cudaGraphRetainUserObject", [&](Call& call) {
    Graph& target = *call.runtime.graphs.graph(graph);
    const std::shared_ptr<UserObject> owned = entry_of(call, object).object;
    require(count >= 1);
    if ((flags & cudaGraphUserObjectMove) != 0) give_up(call, object, count);
    target.user_objects.insert(target.user_objects.end(), count, owned);
  });
}
cudaError_t cudaGraphReleaseUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned count) {
  return api("cudaGraphReleaseUserObject", [&](Call& call) {
    std::vector<std::shared_ptr<UserObject>>& held = call.runtime.graphs.graph(graph)->user_objects;
    for (auto one = held.begin(); one != held.end() && count != 0;) {
      const bool is_it = reinterpret_cast<cudaUserObject_t>(one->get()) == object;
      one = is_it ? held.erase(one) : std::next(one);
      count -= is_it;
    }
    require(count == 0, "the graph holds fewer references");
  });
}

}  // extern "C"
#pragma GCC visibility pop
