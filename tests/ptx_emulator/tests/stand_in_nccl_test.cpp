#include <nccl.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/stand_ins/support/number_format.h"
#include "tests/ptx_emulator/tests/runtime_double.h"
#include "tests/ptx_emulator/tests/stand_in_test_ranks.h"

using namespace ptx_emulator::stand_ins;
using namespace ptx_emulator::test;

namespace {

void run_well(int num_ranks, const Body& body) {
  CHECK(run_ranks(num_ranks, [&](Rank& rank) {
          rank.connect();
          body(rank);
          rank.expect(take_faults().empty(), "a device fault");
          rank.ok(ncclCommDestroy(rank.comm), "ncclCommDestroy");
        }) == 0);
}

// Small whole numbers: exact in every type, and so are their sums and products.
double input(int rank, std::size_t i) {
  return static_cast<double>((static_cast<std::size_t>(rank) * 3 + i * 7) % 3 + 1);
}

const NumberFormat kFormats[] = {
    NumberFormat::kInt8,     NumberFormat::kUint8,      NumberFormat::kInt32,
    NumberFormat::kUint32,   NumberFormat::kInt64,      NumberFormat::kUint64,
    NumberFormat::kFloat16,  NumberFormat::kFloat32,    NumberFormat::kFloat64,
    NumberFormat::kBfloat16, NumberFormat::kFloat8E4m3, NumberFormat::kFloat8E5m2};

std::vector<std::byte> encode(ncclDataType_t type, std::size_t count,
                              const std::function<double(std::size_t)>& value) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value(i);
  std::vector<std::byte> bytes(count * bytes_of(kFormats[type]));
  store(kFormats[type], values.data(), count, bytes.data());
  return bytes;
}

double combined(ncclRedOp_t op, int num_ranks, std::size_t i) {
  double result = input(0, i);
  for (int rank = 1; rank < num_ranks; ++rank) {
    const double value = input(rank, i);
    result = op == ncclProd  ? result * value
             : op == ncclMax ? std::max(result, value)
             : op == ncclMin ? std::min(result, value)
                             : result + value;
  }
  return op == ncclAvg ? result / num_ranks : result;
}

double whole(ncclDataType_t type, double value) {
  return type < ncclFloat16 ? std::trunc(value) : value;
}

void check_collectives(Rank& r, ncclDataType_t type, std::size_t count) {
  const auto ranks = static_cast<std::size_t>(r.num_ranks);
  const auto own = static_cast<std::size_t>(r.rank);
  const std::string name = name_of(kFormats[type]);
  const DeviceArray<std::byte> send(
      encode(type, count * ranks, [&](std::size_t i) { return input(r.rank, i); }));
  const std::size_t element = bytes_of(kFormats[type]);
  const auto expect = [&](const DeviceBuffer& got, std::size_t length,
                          const std::function<double(std::size_t)>& value,
                          const std::string& what) {
    const std::vector<std::byte> wanted = encode(type, length, value);
    r.expect(std::memcmp(got.data(), wanted.data(), wanted.size()) == 0,
             what + " of " + name + " is wrong");
  };
  for (const ncclRedOp_t op : {ncclSum, ncclProd, ncclMax, ncclMin, ncclAvg}) {
    const DeviceBuffer all(count * element);
    r.ok(ncclAllReduce(send.data(), all.data(), count, type, op, r.comm, nullptr), "ncclAllReduce");
    expect(
        all, count, [&](std::size_t i) { return whole(type, combined(op, r.num_ranks, i)); },
        "all-reduce");
    const DeviceBuffer scattered(count * element);
    r.ok(ncclReduceScatter(send.data(), scattered.data(), count, type, op, r.comm, nullptr),
         "ncclReduceScatter");
    expect(
        scattered, count,
        [&](std::size_t i) { return whole(type, combined(op, r.num_ranks, own * count + i)); },
        "reduce-scatter");
  }
  const DeviceBuffer reduced(count * element);
  r.ok(ncclReduce(send.data(), reduced.data(), count, type, ncclSum, 1, r.comm, nullptr),
       "ncclReduce");
  if (r.rank == 1)
    expect(
        reduced, count, [&](std::size_t i) { return combined(ncclSum, r.num_ranks, i); }, "reduce");
  const DeviceBuffer gathered(count * ranks * element);
  r.ok(ncclAllGather(send.data(), gathered.data(), count, type, r.comm, nullptr), "ncclAllGather");
  expect(
      gathered, count * ranks,
      [&](std::size_t i) { return input(static_cast<int>(i / count), i % count); }, "all-gather");
  const DeviceBuffer copied(count * element);
  r.ok(ncclBroadcast(send.data(), copied.data(), count, type, 1, r.comm, nullptr), "ncclBroadcast");
  expect(
      copied, count, [&](std::size_t i) { return input(1, i); }, "broadcast");
  const DeviceBuffer exchanged(count * ranks * element);
  r.ok(ncclAlltoAll(send.data(), exchanged.data(), count, type, r.comm, nullptr), "ncclAlltoAll");
  expect(
      exchanged, count * ranks,
      [&](std::size_t i) { return input(static_cast<int>(i / count), own * count + i % count); },
      "all-to-all");
  const DeviceBuffer piece(count * element);
  r.ok(ncclScatter(send.data(), piece.data(), count, type, 0, r.comm, nullptr), "ncclScatter");
  expect(
      piece, count, [&](std::size_t i) { return input(0, own * count + i); }, "scatter");
  const DeviceBuffer rooted(count * ranks * element);
  r.ok(ncclGather(send.data(), rooted.data(), count, type, 0, r.comm, nullptr), "ncclGather");
  if (r.rank == 0)
    expect(
        rooted, count * ranks,
        [&](std::size_t i) { return input(static_cast<int>(i / count), i % count); }, "gather");
}

}  // namespace

TEST_CASE("NCCL collectives match plain loops for every type", "[ptx]") {
  run_well(3, [](Rank& r) {
    for (int type = 0; type < ncclNumTypes; ++type)
      check_collectives(r, static_cast<ncclDataType_t>(type), 37);
    check_collectives(r, ncclFloat32, 1);
    check_collectives(r, ncclFloat32, 200'000);  // several pieces
  });
}

TEST_CASE("NCCL works in place and adds in the order of the ranks", "[ptx]") {
  run_well(4, [](Rank& r) {
    const float values[] = {1e8F, 1.0F, -1e8F, 1.0F};
    const DeviceArray<float> x(std::vector<float>(5, values[r.rank]));
    r.ok(ncclAllReduce(x.data(), x.data(), 5, ncclFloat32, ncclSum, r.comm, nullptr),
         "ncclAllReduce");
    const float in_order = ((values[0] + values[1]) + values[2]) + values[3];
    r.expect(x.data()[4] == in_order, "another order of the sum");
    const DeviceArray<float> y(std::vector<float>(8, static_cast<float>(r.rank)));
    r.ok(ncclAllGather(y.data() + 2 * r.rank, y.data(), 2, ncclFloat32, r.comm, nullptr),
         "ncclAllGather");
    for (int i = 0; i < 8; ++i)
      r.expect(y.data()[i] == static_cast<float>(i / 2), "all-gather in place");
    const DeviceArray<float> z({0, 1, 2, 3});
    r.ok(ncclReduceScatter(z.data(), z.data() + r.rank, 1, ncclFloat32, ncclSum, r.comm, nullptr),
         "ncclReduceScatter");
    r.expect(z.data()[r.rank] == 4.0F * static_cast<float>(r.rank), "reduce-scatter in place");
    ncclRedOp_t scaled{};
    float factor = 0.5F;
    r.ok(ncclRedOpCreatePreMulSum(&scaled, &factor, ncclFloat32, ncclScalarHostImmediate, r.comm),
         "ncclRedOpCreatePreMulSum");
    const DeviceArray<float> w({static_cast<float>(r.rank)});
    r.ok(ncclAllReduce(w.data(), w.data(), 1, ncclFloat32, scaled, r.comm, nullptr),
         "ncclAllReduce");
    r.expect(w.data()[0] == 3.0F, "a sum of halves");
    r.ok(ncclRedOpDestroy(scaled, r.comm), "ncclRedOpDestroy");
  });
}

TEST_CASE("NCCL messages of a group pass each other", "[ptx]") {
  run_well(3, [](Rank& r) {
    const std::size_t count = 100'000;  // more than a channel holds
    std::vector<int> mine(count);
    std::iota(mine.begin(), mine.end(), r.rank * 1'000'000);
    const DeviceArray<int> send(mine);
    const DeviceBuffer from_left(count * sizeof(int));
    const DeviceBuffer small(8);
    const int right = (r.rank + 1) % r.num_ranks;
    const int left = (r.rank + 2) % r.num_ranks;
    r.ok(ncclGroupStart(), "ncclGroupStart");
    r.ok(ncclGroupStart(), "ncclGroupStart");
    r.ok(ncclSend(send.data(), count, ncclInt32, right, r.comm, nullptr), "ncclSend");
    r.ok(ncclSend(send.data(), 2, ncclInt32, right, r.comm, nullptr), "ncclSend");
    r.ok(ncclGroupEnd(), "ncclGroupEnd");
    r.ok(ncclRecv(from_left.data(), count, ncclInt32, left, r.comm, nullptr), "ncclRecv");
    r.ok(ncclRecv(small.data(), 2, ncclInt32, left, r.comm, nullptr), "ncclRecv");
    r.ok(ncclGroupEnd(), "ncclGroupEnd");
    const int* const got = static_cast<const int*>(from_left.data());
    for (std::size_t i = 0; i < count; ++i) {
      if (got[i] != left * 1'000'000 + static_cast<int>(i))
        return r.expect(false, "a message is wrong");
    }
    r.expect(static_cast<const int*>(small.data())[1] == left * 1'000'000 + 1,
             "the second message is wrong");
  });
}

TEST_CASE("NCCL communicators split, shrink and start without blocking", "[ptx]") {
  run_well(4, [](Rank& r) {
    ncclComm_t pair = nullptr;
    r.ok(ncclCommSplit(r.comm, r.rank % 2, -r.rank, &pair, nullptr), "ncclCommSplit");
    int rank = -1;
    int count = -1;
    ncclCommUserRank(pair, &rank);
    ncclCommCount(pair, &count);
    r.expect(count == 2 && rank == (r.rank < 2 ? 1 : 0), "rank in the half");
    const DeviceArray<int> x({r.rank});
    r.ok(ncclAllReduce(x.data(), x.data(), 1, ncclInt32, ncclSum, pair, nullptr), "ncclAllReduce");
    r.expect(x.data()[0] == (r.rank % 2 == 0 ? 2 : 4), "sum of the half");
    r.ok(ncclCommDestroy(pair), "ncclCommDestroy");
    ncclComm_t some = nullptr;
    r.ok(ncclCommSplit(r.comm, r.rank == 3 ? NCCL_SPLIT_NOCOLOR : 0, r.rank, &some, nullptr),
         "ncclCommSplit");
    r.expect((some == nullptr) == (r.rank == 3), "no communicator without colour");
    ncclCommDestroy(some);
    if (r.rank == 2) return;
    int excluded = 2;
    r.ok(ncclCommShrink(r.comm, &excluded, 1, &some, nullptr, NCCL_SHRINK_DEFAULT),
         "ncclCommShrink");
    const DeviceArray<int> y({1});
    r.ok(ncclAllReduce(y.data(), y.data(), 1, ncclInt32, ncclSum, some, nullptr), "ncclAllReduce");
    r.expect(y.data()[0] == 3, "sum of the rest");
    ncclCommDestroy(some);
  });
  CHECK(run_ranks(2, [](Rank& r) {
          ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
          config.blocking = 0;
          r.expect(ncclCommInitRankConfig(&r.comm, 2, r.id, r.rank, &config) == ncclInProgress,
                   "not in progress");
          ncclResult_t state = ncclInProgress;
          while (state == ncclInProgress) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            r.ok(ncclCommGetAsyncError(r.comm, &state), "ncclCommGetAsyncError");
          }
          r.expect(state == ncclSuccess, "the start failed");
          r.ok(ncclCommDestroy(r.comm), "ncclCommDestroy");
        }) == 0);
}

TEST_CASE("one process can be all ranks of NCCL, by groups or by threads", "[ptx]") {
  CHECK(run_ranks(1, [](Rank& r) {
          ncclComm_t comms[3] = {};
          const int devices[] = {0, 0, 0};
          r.ok(ncclCommInitAll(comms, 3, devices), "ncclCommInitAll");
          std::vector<std::unique_ptr<DeviceArray<float>>> x;
          for (int rank = 0; rank < 3; ++rank)
            x.push_back(std::make_unique<DeviceArray<float>>(
                std::vector<float>(100'000, static_cast<float>(rank + 1))));
          ncclGroupStart();
          for (int rank = 0; rank < 3; ++rank) {
            r.ok(ncclAllReduce(x[static_cast<std::size_t>(rank)]->data(),
                               x[static_cast<std::size_t>(rank)]->data(), 100'000, ncclFloat32,
                               ncclSum, comms[rank], nullptr),
                 "ncclAllReduce");
          }
          r.ok(ncclGroupEnd(), "ncclGroupEnd");
          for (int rank = 0; rank < 3; ++rank)
            r.expect(x[static_cast<std::size_t>(rank)]->data()[99'999] == 6.0F, "sum by a group");
          std::vector<std::thread> threads;
          for (int rank = 0; rank < 3; ++rank) {
            threads.emplace_back([&, rank] {
              ncclAllReduce(x[static_cast<std::size_t>(rank)]->data(),
                            x[static_cast<std::size_t>(rank)]->data(), 1000, ncclFloat32, ncclMax,
                            comms[rank], nullptr);
            });
          }
          for (std::thread& thread : threads) thread.join();
          for (int rank = 0; rank < 3; ++rank)
            r.expect(x[static_cast<std::size_t>(rank)]->data()[999] == 6.0F, "maximum by threads");
          for (ncclComm_t comm : comms) r.ok(ncclCommDestroy(comm), "ncclCommDestroy");
        }) == 0);
}
