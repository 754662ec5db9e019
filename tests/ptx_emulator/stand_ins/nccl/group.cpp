#include "tests/ptx_emulator/stand_ins/nccl/group.h"

#include <algorithm>
#include <utility>

#include "tests/ptx_emulator/stand_ins/support/explain.h"

namespace ptx_emulator::stand_ins {
namespace {

struct Group {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<std::pair<ncclComm_t, NcclCall>> calls;
  std::vector<Construction> constructions;
};

// The library's interface ties an open group to the thread.
Group& group() {
  thread_local Group current;
  return current;
}

ncclResult_t launch(const std::vector<std::pair<ncclComm_t, NcclCall>>& calls) {
  std::vector<ncclComm_t> comms;
  std::vector<RankBatch> batches;
  for (const auto& [comm, call] : calls) {
    auto found = std::find(comms.begin(), comms.end(), comm);
    if (found == comms.end()) {
      comms.push_back(comm);
      batches.push_back({comm->state, {}, {}});
      found = comms.end() - 1;
    }
    RankBatch& batch = batches[static_cast<std::size_t>(found - comms.begin())];
    (call.kind >= Kind::kSend ? batch.messages : batch.collectives).push_back(call);
    const StreamOfDevice stream{call.stream, call.device};
    if (std::find(comm->streams.begin(), comm->streams.end(), stream) == comm->streams.end())
      comm->streams.push_back(stream);
  }
  std::vector<std::shared_ptr<Clique::Ticket>> tickets;
  for (std::size_t i = 0; i < comms.size(); ++i)
    tickets.push_back(comms[i]->clique->bring(std::move(batches[i])));
  for (std::size_t i = 0; i < comms.size(); ++i) {
    try {
      comms[i]->clique->wait(tickets[i]);
    } catch (const CommunicationError& error) {
      comms[i]->state->set_error(error.code(), error.what());
      return failed(comms[i], error.code(), error.what());
    }
    if (tickets[i]->cuda_error != 0) {
      return failed(comms[i], ncclUnhandledCudaError,
                    text("the stream refused the work with CUDA error %d", tickets[i]->cuda_error));
    }
  }
  return ncclSuccess;
}

}  // namespace

void group_start() {
  ++group().depth;
}
bool in_group() {
  return group().depth > 0;
}

void group_error(ncclResult_t error) {
  if (in_group() && group().error == ncclSuccess) group().error = error;
}

ncclResult_t group_end() {
  Group& open = group();
  if (open.depth == 0)
    return failed(nullptr, ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--open.depth > 0) return ncclSuccess;
  Group done = std::exchange(open, Group{});
  if (done.error != ncclSuccess) {
    for (const Construction& construction : done.constructions) delete construction.comm;
    return done.error;
  }
  if (!done.constructions.empty() && !done.calls.empty()) {
    for (const Construction& construction : done.constructions) delete construction.comm;
    return failed(nullptr, ncclInvalidUsage, "communicators are made and used in one group");
  }
  return done.calls.empty()
             ? (done.constructions.empty() ? ncclSuccess
                                           : finish_constructions(std::move(done.constructions)))
             : launch(done.calls);
}

ncclResult_t submit(ncclComm_t comm, const NcclCall& call) {
  if (!in_group()) return launch({{comm, call}});
  group().calls.emplace_back(comm, call);
  return ncclSuccess;
}

ncclResult_t submit(Construction construction) {
  if (in_group()) {
    group().constructions.push_back(std::move(construction));
    return ncclSuccess;
  }
  std::vector<Construction> one;
  one.push_back(std::move(construction));
  return finish_constructions(std::move(one));
}

}  // namespace ptx_emulator::stand_ins
