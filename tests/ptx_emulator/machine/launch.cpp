#include "tests/ptx_emulator/machine/launch.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/ptx_emulator/machine/block.h"
#include "tests/ptx_emulator/machine/device_heap.h"
#include "tests/ptx_emulator/machine/worker.h"

namespace ptx_emulator {
namespace {

// Of kernels that recurse: what a thread may use beyond one call of each function.
constexpr std::uint64_t kRecursionLocalBytes = 64u << 10;
constexpr std::uint64_t kRecursionRegisterBytes = 8u << 20;

// Threads that sleep between launches.
class Crew {
 public:
  explicit Crew(std::uint32_t helpers) {
    for (std::uint32_t i = 0; i < helpers; ++i) threads_.emplace_back([this, i] { serve(i); });
  }
  ~Crew() {
    {
      const std::lock_guard<std::mutex> hold(lock_);
      ends_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Runs work(0) here and work(1) ... work(count - 1) on other threads, to their ends.
  void run(std::uint32_t count, const std::function<void(std::uint32_t)>& work) {
    {
      const std::lock_guard<std::mutex> hold(lock_);
      work_ = &work;
      wanted_ = std::min<std::uint32_t>(count - 1, static_cast<std::uint32_t>(threads_.size()));
      running_ = wanted_;
      ++round_;
    }
    if (wanted_ > 0) wake_.notify_all();
    work(0);
    std::unique_lock<std::mutex> hold(lock_);
    done_.wait(hold, [&] { return running_ == 0; });
  }

 private:
  void serve(std::uint32_t index) {
    std::uint64_t seen = 0;
    std::unique_lock<std::mutex> hold(lock_);
    while (true) {
      wake_.wait(hold, [&] { return ends_ || round_ != seen; });
      if (ends_) return;
      seen = round_;
      if (index >= wanted_) continue;
      const auto* work = work_;
      hold.unlock();
      (*work)(index + 1);
      hold.lock();
      if (--running_ == 0) done_.notify_all();
    }
  }

  std::mutex lock_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> threads_;
  const std::function<void(std::uint32_t)>* work_ = nullptr;
  std::uint32_t wanted_ = 0, running_ = 0;
  std::uint64_t round_ = 0;
  bool ends_ = false;
};

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

void fill_thread_indices(Grid& grid, const Dimensions& block) {
  const std::uint64_t padded = round_up(grid.threads_per_block, kWarpLanes);
  for (auto& axis : grid.thread_index) axis.assign(padded, 0);
  for (std::uint32_t t = 0; t < grid.threads_per_block; ++t) {
    grid.thread_index[0][t] = t % block.x;
    grid.thread_index[1][t] = t / block.x % block.y;
    grid.thread_index[2][t] = t / block.x / block.y;
  }
}

void check(const Launch& launch) {
  if (launch.kernel == nullptr || launch.program == nullptr)
    throw std::invalid_argument("launch without a kernel");
  const std::uint64_t threads = launch.block.count();
  if (threads == 0 || threads > 1024 || launch.grid.count() == 0) {
    throw std::invalid_argument("a block has 1 to 1024 threads and a grid at least one block");
  }
  const Dimensions& c = launch.cluster;
  if (c.count() == 0 || c.count() > 16 || launch.grid.x % c.x != 0 || launch.grid.y % c.y != 0 ||
      launch.grid.z % c.z != 0) {
    throw std::invalid_argument("a cluster has 1 to 16 blocks and divides the grid");
  }
  if (launch.parameters.size() < launch.kernel->parameter_bytes) {
    throw std::invalid_argument("the launch has " + std::to_string(launch.parameters.size()) +
                                " bytes of parameters, the kernel takes " +
                                std::to_string(launch.kernel->parameter_bytes));
  }
  if (std::uint64_t{launch.kernel->dynamic_shared_offset} + launch.dynamic_shared_bytes >
      (1u << 22)) {
    throw std::invalid_argument("over 4 MiB of shared memory");
  }
}

void measure(Grid& grid, const Launch& launch) {
  const Code& kernel = *launch.kernel;
  grid.num_blocks = launch.grid.count();
  grid.threads_per_block = static_cast<std::uint32_t>(launch.block.count());
  grid.warps_per_block = (grid.threads_per_block + kWarpLanes - 1) / kWarpLanes;
  grid.cluster_blocks = static_cast<std::uint32_t>(launch.cluster.count());
  grid.shared_bytes = launch.dynamic_shared_bytes == 0
                          ? kernel.static_shared_bytes
                          : kernel.dynamic_shared_offset + launch.dynamic_shared_bytes;
  std::uint64_t local = kernel.stack_local_bytes + (kernel.recursive ? kRecursionLocalBytes : 0);
  if (local != 0) {
    // An odd number of cache lines: lanes' memories must not all fall into the same sets.
    local = round_up(local, 64);
    if (local / 64 % 2 == 0) local += 64;
  }
  grid.local_bytes = local;
  // Every lane may be in another function.
  grid.register_bytes =
      round_up(kernel.frame_bytes +
                   kWarpLanes * (kernel.stack_register_bytes - kernel.frame_bytes) +
                   (kernel.recursive ? kRecursionRegisterBytes : 0),
               64) +
      64;
  grid.parameters = launch.parameters;
  grid.parameters.resize(launch.parameters.size() + 64);
  fill_thread_indices(grid, launch.block);
}

}  // namespace

struct Machine::State {
  State(DeviceMemory& given, MachineOptions wishes)
      : memory(given), options(wishes), heap(given, wishes.device_malloc_bytes) {
    if (options.num_threads == 0)
      options.num_threads = std::max(1u, std::thread::hardware_concurrency());
    options.num_threads = std::min(options.num_threads, 256u);
  }
  std::uint64_t grid_workspace();

  DeviceMemory& memory;
  MachineOptions options;
  DeviceHeap heap;
  const Allocation* workspace = nullptr;
  std::unique_ptr<Crew> crew;
};

// What the cooperative_groups headers find through %envreg1 and %envreg2: its size and the
// barrier's word.
std::uint64_t Machine::State::grid_workspace() {
  constexpr std::uint64_t kBytes = 256;
  if (workspace == nullptr) {
    workspace = memory.allocate(kBytes, MemoryKind::kDevice, "the barrier of cooperative launches");
    if (workspace == nullptr)
      throw std::runtime_error("no device memory for the barrier of a cooperative launch");
  }
  std::byte* at = memory.host_pointer(workspace->begin, kBytes);
  std::memset(at, 0, kBytes);
  const std::uint32_t size = kBytes;
  std::memcpy(at, &size, sizeof size);
  note_initialised(memory, workspace->begin, kBytes);
  return workspace->begin;
}

Machine::Machine(DeviceMemory& memory, MachineOptions options)
    : state_(std::make_unique<State>(memory, options)) {}

Machine::~Machine() {
  if (state_->workspace != nullptr) state_->memory.release(state_->workspace->begin);
}

const MachineOptions& Machine::options() const {
  return state_->options;
}

LaunchResult Machine::run(const Launch& launch) {
  check(launch);
  State& state = *state_;
  const auto start = std::chrono::steady_clock::now();
  Grid grid;
  grid.launch = &launch;
  grid.options = &state.options;
  grid.memory = &state.memory;
  grid.heap = &state.heap;
  measure(grid, launch);
  if (launch.cooperative) grid.grid_workspace = state.grid_workspace();

  const std::uint64_t clusters = grid.num_blocks / grid.cluster_blocks;
  std::uint32_t count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(state.options.num_threads, clusters));
  if (needs_single_worker(state.options)) count = 1;
  if (count > 1 && state.crew == nullptr)
    state.crew = std::make_unique<Crew>(state.options.num_threads - 1);

  const std::unique_ptr<Observation> observation = observe(launch, state.options, state.memory);
  std::vector<std::unique_ptr<Observer>> observers(count);
  if (observation) {
    for (auto& observer : observers) observer = observation->make_observer();
  }
  ClusterQueue queue(clusters, state.options.seed == 0 ? 0 : state.options.seed + launch.number);
  FaultBox faults;
  std::vector<std::uint64_t> executed(count, 0);
  std::vector<std::exception_ptr> failures(count);
  const std::function<void(std::uint32_t)> work = [&](std::uint32_t i) {
    try {
      Worker worker({&grid, &queue, &faults, observers[i].get(), i, count, start});
      worker.run();
      executed[i] = worker.executed();
    } catch (...) {
      failures[i] = std::current_exception();
      grid.stop.store(true);
    }
  };
  if (count == 1) {
    work(0);
  } else {
    state.crew->run(count, work);
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  LaunchResult result;
  result.fault = faults.take();
  for (const std::uint64_t n : executed) result.warp_instructions += n;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  observers.clear();
  if (observation) observation->finish(result);
  return result;
}

}  // namespace ptx_emulator
