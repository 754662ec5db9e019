// One rank of the tests that need processes: collective_ranks KIND MODE
//   KIND  mpi: by MPI; world: as the program would join; nccl: the same, then memory of a device
//   MODE  check: all collectives; mismatch, abort, exit, kill: rank 1 does that;
//         loop: sums for a minute; time: all-reduce of 32 MiB
// The last line of a rank is "rank R: ..." with what it saw.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cuda_backend/backend.h"
#include "src/core/error.h"
#include "src/distributed/device_communicator.h"
#include "src/distributed/mpi_module.h"
#include "src/distributed/world.h"
#include "tests/distributed/collective_checks.h"

namespace {

using namespace ovid;
using namespace ovid::distributed;
namespace cuda = ovid::kernels::cuda;

class DeviceMemory final : public test::OperandMemory {
 public:
  explicit DeviceMemory(cuda::Device& device) : device_(device) {}
  ~DeviceMemory() override {
    for (void* block : blocks_) device_.release(block);
  }

  std::byte* allocate(std::size_t bytes) override {
    blocks_.push_back(device_.allocate(std::max<std::size_t>(bytes, 1), "a test"));
    return static_cast<std::byte*>(blocks_.back());
  }
  void upload(std::byte* to, std::span<const std::byte> bytes) override {
    device_.copy_to_device(to, bytes.data(), bytes.size());
  }
  std::vector<std::byte> download(const std::byte* from, std::size_t bytes) override {
    std::vector<std::byte> copy(bytes);
    device_.copy_to_host(copy.data(), from, bytes);
    device_.synchronize();
    return copy;
  }

 private:
  cuda::Device& device_;
  std::vector<void*> blocks_;
};

struct Place {
  std::unique_ptr<cuda::Device> device;  // null: host memory
  std::unique_ptr<test::OperandMemory> memory;
  std::unique_ptr<Communicator> communicator;
};

Place join(const std::string& kind) {
  Place place;
  place.communicator = kind == "mpi" ? open_mpi_world() : join_world().communicator;
  if (kind != "nccl") {
    place.memory = std::make_unique<test::HostMemory>();
    return place;
  }
  place.device = cuda::open_device(0);
  place.memory = std::make_unique<DeviceMemory>(*place.device);
  place.communicator = open_device_communicator(std::move(place.communicator), *place.device);
  return place;
}

kernels::View row(Place& place, std::int64_t elements) {
  std::byte* const data = place.memory->allocate(static_cast<std::size_t>(elements) * 4);
  return {data, kernels::DType::kFloat32, kernels::Shape{elements}};
}

// Best of some all-reduces of 32 MiB, in milliseconds.
std::string time_all_reduce(Place& place) {
  const kernels::View data = row(place, std::int64_t{8} << 20);
  double best = 1e9;
  for (int i = 0; i < 12; ++i) {
    place.communicator->barrier("begin");
    const auto begin = std::chrono::steady_clock::now();
    place.communicator->wait(place.communicator->begin_all_reduce(data, "timed"));
    if (place.device != nullptr) place.device->synchronize();
    best = std::min(
        best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
                  .count());
  }
  return fmt::format("all-reduce of 32 MiB in {:.2f} ms, {:.2f} GB/s", best, 33.554432 / best);
}

std::string sum_for_a_minute(Place& place) {
  const kernels::View data = row(place, 1000);
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  std::uint8_t is_over = 0;
  while (is_over == 0) {
    place.communicator->wait(place.communicator->begin_all_reduce(data, "again"));
    std::vector<std::uint8_t> all(static_cast<std::size_t>(place.communicator->count()));
    is_over = std::chrono::steady_clock::now() > end ? 1 : 0;
    place.communicator->exchange(std::as_bytes(std::span(&is_over, 1)),
                                 std::as_writable_bytes(std::span(all)), "over");
    is_over = all[0];  // rank 0's clock
  }
  return "nothing happened";
}

// What rank 1 does while the others wait for it.
std::string fail(Place& place, const std::string& mode) {
  Communicator& communicator = *place.communicator;
  communicator.barrier("all are here");
  if (communicator.rank() == 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    if (mode == "abort") communicator.abort("the step hangs");
    if (mode == "exit") ::_exit(3);
    if (mode == "kill") ::raise(SIGKILL);
  }
  const std::int64_t elements = mode == "mismatch" && communicator.rank() == 1 ? 11 : 10;
  communicator.wait(communicator.begin_all_reduce(row(place, elements), "block 3"));
  if (place.device != nullptr) place.device->synchronize();
  return "went on";
}

std::string run(Place& place, const std::string& mode) {
  if (mode == "time") return time_all_reduce(place);
  if (mode == "loop") return sum_for_a_minute(place);
  if (mode != "check") return fail(place, mode);
  // A device is the emulator's in most runs: sizes that it does in a second.
  std::string problem =
      test::check_collectives(*place.communicator, *place.memory, {0, 1, 17, 4099, 40001});
  if (problem.empty()) problem = test::check_overlap(*place.communicator, *place.memory);
  return problem.empty() ? "all collectives are right" : problem;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  int rank = -1;
  try {
    Place place = join(argv[1]);
    rank = place.communicator->rank();
    const std::string seen = run(place, argv[2]);
    fmt::print("rank {}: {}\n", rank, seen);
    std::fflush(stdout);
    return seen == "all collectives are right" || seen.find("GB/s") != std::string::npos ? 0 : 1;
  } catch (const Error& error) {
    fmt::print("rank {}: {}\n", rank, error.what());
    std::fflush(stdout);
    return static_cast<int>(error.exit_code());
  } catch (const std::exception& error) {
    fmt::print("rank {}: {}\n", rank, error.what());
    return 6;
  }
}
