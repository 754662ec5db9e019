#include "tests/ptx_emulator/stand_ins/nccl/operation.h"

#include <nccl.h>

#include <cstring>

#include "tests/ptx_emulator/stand_ins/nccl/collective.h"
#include "tests/ptx_emulator/stand_ins/nccl/message.h"
#include "tests/ptx_emulator/stand_ins/support/explain.h"
#include "tests/ptx_emulator/stand_ins/support/runtime_link.h"

namespace ptx_emulator::stand_ins {
namespace {

// A result that never came must not look like one.
void poison(const RankBatch& batch) {
  const auto num_ranks = static_cast<std::uint64_t>(batch.state->segment->num_ranks());
  const auto poison_call = [&](const NcclCall& call) {
    const bool many =
        call.kind == Kind::kAllGather || call.kind == Kind::kGather || call.kind == Kind::kAllToAll;
    const std::uint64_t bytes = call.count * bytes_of_nccl_type(call.type) * (many ? num_ranks : 1);
    if (call.receive == nullptr) return;
    if (void* const host = host_pointer_or_null(call.receive, bytes); host != nullptr)
      std::memset(host, 0xff, bytes);
  };
  for (const NcclCall& call : batch.collectives) poison_call(call);
  for (const NcclCall& call : batch.messages) poison_call(call);
}

void report_failure(const std::vector<RankBatch>& batches, int code, const std::string& message) {
  for (const RankBatch& batch : batches) {
    batch.state->set_error(code, message);
    poison(batch);
  }
  complain("NCCL", text("rank %d: ", batches.front().state->rank) + message);
}

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {
      "ncclAllReduce", "ncclReduce",  "ncclReduceScatter", "ncclAllGather", "ncclBroadcast",
      "ncclGather",    "ncclScatter", "ncclAlltoAll",      "ncclSend",      "ncclRecv"};
  return kNames[static_cast<int>(kind)];
}

std::string describe(const NcclCall& call) {
  std::string description =
      text("%s of %llu %s", name_of(call.kind), static_cast<unsigned long long>(call.count),
           name_of_nccl_type(call.type));
  switch (call.kind) {
    case Kind::kAllReduce:
    case Kind::kReduceScatter:
      return description + " with " + name_of_nccl_reduction(call.reduction_number);
    case Kind::kReduce:
      return description + " with " + name_of_nccl_reduction(call.reduction_number) +
             text(" to rank %d", call.root);
    case Kind::kBroadcast:
    case Kind::kScatter:
    case Kind::kReceive:
      return description + text(" from rank %d", call.root);
    case Kind::kGather:
    case Kind::kSend:
      return description + text(" to rank %d", call.root);
    default:
      return description;
  }
}

RankState::~RankState() {
  if (segment != nullptr) segment->leave(rank);
}

void RankState::set_error(int code, const std::string& message) {
  const std::scoped_lock lock(mutex);
  int none = ncclSuccess;
  if (async_error.compare_exchange_strong(none, code)) last_error = message;
}

void run_batches(const std::vector<RankBatch>& batches) {
  try {
    SharedSegment& segment = *batches.front().state->segment;
    segment.check_peers();
    for (std::size_t i = 0; i < batches.front().collectives.size(); ++i) {
      std::vector<LocalCall> calls;
      for (const RankBatch& batch : batches)
        calls.push_back({batch.state->rank, &batch.collectives.at(i)});
      run_collective(segment, calls);
    }
    std::vector<LocalCall> messages;
    for (const RankBatch& batch : batches) {
      for (const NcclCall& call : batch.messages) messages.push_back({batch.state->rank, &call});
    }
    if (!messages.empty()) run_messages(segment, messages);
  } catch (const OperandFault& error) {
    batches.front().state->segment->fail(
        ncclRemoteError, text("rank %d has a device fault", batches.front().state->rank));
    report_failure(batches, ncclUnhandledCudaError, error.what());
    fault(error.error(), std::string("NCCL: ") + error.what());
  } catch (const CommunicationError& error) {
    report_failure(batches, error.code(), error.what());
    if (error.code() == ncclInvalidUsage)
      fault(kCudaErrorLaunchFailure, std::string("NCCL: ") + error.what());
  } catch (const std::exception& error) {
    report_failure(batches, ncclInternalError, error.what());
  }
}

}  // namespace ptx_emulator::stand_ins
