#include <nccl.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/tests/runtime_double.h"
#include "tests/ptx_emulator/tests/stand_in_test_ranks.h"

using namespace ptx_emulator::test;

namespace {

bool mentions(const std::string& text, const char* word) {
  return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("NCCL calls that differ between ranks are named instead of a hang", "[ptx]") {
  const auto differ = [](const std::function<void(Rank&, const DeviceArray<float>&)>& call,
                         const char* word) {
    CHECK(run_ranks(2, [&](Rank& r) {
            std::freopen("/dev/null", "w", stderr);
            r.connect();
            const DeviceArray<float> x(std::vector<float>(16, 1.0F));
            call(r, x);
            ncclResult_t state = ncclSuccess;
            ncclCommGetAsyncError(r.comm, &state);
            r.expect(state == ncclInvalidUsage, "no error");
            r.expect(mentions(ncclGetLastError(r.comm), word), "the message lacks the call");
            r.expect(std::isnan(x.data()[0]), "the result was not overwritten");
            r.expect(!take_faults().empty(), "no device fault");
            r.expect(ncclAllReduce(x.data(), x.data(), 1, ncclFloat32, ncclSum, r.comm, nullptr) ==
                         ncclInvalidUsage,
                     "calls go on");
          }) == 0);
  };
  differ(
      [](Rank& r, const auto& x) {
        ncclAllReduce(x.data(), x.data(), r.rank == 0 ? 16 : 8, ncclFloat32, ncclSum, r.comm,
                      nullptr);
      },
      "rank 1 calls ncclAllReduce of 8 ncclFloat32 with ncclSum");
  differ(
      [](Rank& r, const auto& x) {
        ncclAllReduce(x.data(), x.data(), 4, r.rank == 0 ? ncclFloat32 : ncclInt32, ncclSum, r.comm,
                      nullptr);
      },
      "ncclInt32");
  differ(
      [](Rank& r, const auto& x) {
        if (r.rank == 0)
          ncclAllReduce(x.data(), x.data(), 4, ncclFloat32, ncclSum, r.comm, nullptr);
        if (r.rank == 1) ncclBroadcast(x.data(), x.data(), 4, ncclFloat32, 0, r.comm, nullptr);
      },
      "rank 1 calls ncclBroadcast");
  differ(
      [](Rank& r, const auto& x) {
        if (r.rank == 0)
          ncclAllReduce(x.data(), x.data(), 4, ncclFloat32, ncclSum, r.comm, nullptr);
        if (r.rank == 1) ncclRecv(x.data(), 4, ncclFloat32, 0, r.comm, nullptr);
      },
      "rank 1 waits in ncclRecv");
}

TEST_CASE("a rank that dies or aborts does not hang the others", "[ptx]") {
  for (const bool killed : {true, false}) {
    CHECK(run_ranks(3, [killed](Rank& r) {
            std::freopen("/dev/null", "w", stderr);
            r.connect();
            const DeviceArray<float> x(std::vector<float>(16, 1.0F));
            r.ok(ncclAllReduce(x.data(), x.data(), 16, ncclFloat32, ncclSum, r.comm, nullptr),
                 "the first sum");
            if (r.rank == 1 && killed) kill(getpid(), SIGKILL);
            if (r.rank == 1) {
              defer_work(true);
              ncclAllReduce(x.data(), x.data(), 16, ncclFloat32, ncclSum, r.comm, nullptr);
              r.ok(ncclCommAbort(r.comm), "ncclCommAbort");
              return;
            }
            const auto begin = std::chrono::steady_clock::now();
            ncclAllReduce(x.data(), x.data(), 16, ncclFloat32, ncclSum, r.comm, nullptr);
            r.expect(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5),
                     "too long");
            ncclResult_t state = ncclSuccess;
            ncclCommGetAsyncError(r.comm, &state);
            r.expect(state == ncclRemoteError, "no remote error");
            r.expect(mentions(ncclGetLastError(r.comm), "rank 1"), "the message lacks the rank");
            r.expect(std::isnan(x.data()[0]), "the result was not overwritten");
            r.ok(ncclCommAbort(r.comm), "ncclCommAbort");
          }) == 0);
  }
}

TEST_CASE("NCCL refuses arguments that do not exist", "[ptx]") {
  CHECK(run_ranks(1, [](Rank& r) {
          r.connect();
          const DeviceArray<float> x({1.0F});
          r.expect(ncclAllReduce(x.data(), x.data(), 1, ncclNumTypes, ncclSum, r.comm, nullptr) ==
                       ncclInvalidArgument,
                   "type");
          r.expect(ncclBroadcast(x.data(), x.data(), 1, ncclFloat32, 1, r.comm, nullptr) ==
                       ncclInvalidArgument,
                   "root");
          r.expect(ncclAllReduce(x.data(), x.data(), 1, ncclFloat32, static_cast<ncclRedOp_t>(7),
                                 r.comm, nullptr) == ncclInvalidArgument,
                   "operation");
          r.expect(ncclAllReduce(x.data(), x.data(), 1, ncclFloat32, ncclSum, nullptr, nullptr) ==
                       ncclInvalidArgument,
                   "communicator");
          ncclComm_t other = nullptr;
          r.expect(ncclCommInitRank(&other, 2, r.id, 2) == ncclInvalidArgument, "rank");
          ncclUniqueId garbage{};
          r.expect(ncclCommInitRank(&other, 1, garbage, 0) == ncclInvalidArgument, "id");
          r.expect(ncclGroupEnd() == ncclInvalidUsage, "group");
          ncclAllReduce(x.data(), x.data(), 2, ncclFloat32, ncclSum, r.comm, nullptr);
          r.expect(take_faults().size() == 1, "no fault for a buffer that is too small");
        }) == 0);
}
