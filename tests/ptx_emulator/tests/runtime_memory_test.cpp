// Device memory: addresses, bounds, gaps, freed ranges, capacity.

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/ptx_emulator/machine/device_memory.h"

namespace ptx_emulator::test {

namespace {

constexpr std::uint64_t kCapacity = std::uint64_t{1} << 30;

std::byte* view(const Allocation& allocation) {
  return reinterpret_cast<std::byte*>(allocation.begin +
                                      static_cast<std::uint64_t>(allocation.to_host));
}

}  // namespace

TEST_CASE("an allocation contains its bytes and nothing beside them", "[ptx]") {
  DeviceMemory memory(kCapacity);
  for (const std::uint64_t bytes : {1u, 255u, 256u, 4095u, 4096u, 4097u, 100000u}) {
    const Allocation* const made = memory.allocate(bytes, MemoryKind::kDevice, "one");
    REQUIRE(made != nullptr);
    CHECK(made->begin % 256 == 0);
    CHECK(made->end - made->begin == bytes);
    CHECK(memory.find(made->begin) == made);
    CHECK(memory.find(made->end - 1) == made);
    CHECK(memory.find(made->end) == nullptr);
    CHECK(memory.find(made->begin - 1) == nullptr);
    CHECK(memory.nearest_below(made->end + 10) == made);
    CHECK(memory.reserves(made->end));
    CHECK(memory.host_pointer(made->begin, bytes) == view(*made));
    CHECK(memory.host_pointer(made->begin, bytes + 1) == nullptr);
    CHECK(memory.host_pointer(made->begin + 1, std::numeric_limits<std::uint64_t>::max()) ==
          nullptr);
    // Never written: a NaN of every type.
    CHECK(std::all_of(view(*made), view(*made) + bytes,
                      [](std::byte one) { return one == std::byte{0xFF}; }));
  }
}

TEST_CASE("a freed range is known as freed, is not given out again, and gives its memory back",
          "[ptx]") {
  DeviceMemory memory(kCapacity);
  const Allocation* const first = memory.allocate(5000, MemoryKind::kDevice, "first");
  std::memset(view(*first), 7, 5000);
  CHECK(memory.used_bytes() == 5000);
  CHECK_FALSE(memory.release(first->begin + 1));
  CHECK(memory.release(first->begin));
  CHECK_FALSE(memory.release(first->begin));
  CHECK(memory.used_bytes() == 0);
  CHECK(first->freed);
  CHECK(memory.find(first->begin + 100) == first);
  CHECK(memory.host_pointer(first->begin, 1) == nullptr);
  CHECK(view(*first)[10] == std::byte{0});  // a hole in the file reads as zero
  const Allocation* const second = memory.allocate(5000, MemoryKind::kDevice, "second");
  CHECK(second->begin != first->begin);
  CHECK(memory.live() == std::vector<const Allocation*>{second});
}

TEST_CASE("capacity is of device memory only, and nothing is given beyond it", "[ptx]") {
  DeviceMemory memory(10000);
  CHECK(memory.allocate(0, MemoryKind::kDevice, "none") == nullptr);
  CHECK(memory.allocate(10001, MemoryKind::kDevice, "much") == nullptr);
  CHECK(memory.allocate(std::numeric_limits<std::uint64_t>::max(), MemoryKind::kDevice, "all") ==
        nullptr);
  REQUIRE(memory.allocate(9000, MemoryKind::kConstant, "most") != nullptr);
  CHECK(memory.allocate(1001, MemoryKind::kDevice, "rest") == nullptr);
  CHECK(memory.allocate(1000, MemoryKind::kDevice, "rest") != nullptr);
  const Allocation* const pinned = memory.allocate(20000, MemoryKind::kPinned, "host");
  REQUIRE(pinned != nullptr);
  CHECK(pinned->to_host == 0);
  std::memset(reinterpret_cast<void*>(pinned->begin), 1, 20000);
}

TEST_CASE("memory of the host is reachable while it is registered", "[ptx]") {
  DeviceMemory memory(kCapacity);
  std::vector<std::byte> host(300);
  const std::uint64_t address = reinterpret_cast<std::uint64_t>(host.data());
  CHECK(memory.find(address) == nullptr);
  REQUIRE(memory.adopt(host.data(), host.size(), "registered") != nullptr);
  CHECK(memory.adopt(host.data() + 299, 10, "overlapping") == nullptr);
  CHECK(memory.adopt(nullptr, 10, "null") == nullptr);
  CHECK(memory.host_pointer(address + 1, 299) == host.data() + 1);
  CHECK(memory.host_pointer(address + 1, 300) == nullptr);
  CHECK(memory.release(address));
  CHECK(memory.find(address) == nullptr);
  CHECK(memory.adopt(host.data(), host.size(), "again") != nullptr);
}

TEST_CASE("a device finds the memory of its peers", "[ptx]") {
  DeviceMemory here(kCapacity), there(kCapacity);
  const Allocation* const far = there.allocate(100, MemoryKind::kDevice, "far");
  CHECK(here.find(far->begin) == nullptr);
  here.add_peer(there);
  CHECK(here.find(far->begin) == far);
  here.remove_peer(there);
  CHECK(here.find(far->begin) == nullptr);
}

TEST_CASE("memory is found while other allocations are made", "[ptx]") {
  DeviceMemory memory(kCapacity);
  const Allocation* const fixed = memory.allocate(1000, MemoryKind::kDevice, "fixed");
  bool always = true;
  std::thread reader([&] {
    for (int i = 0; i < 20000; ++i) always = always && memory.find(fixed->begin + 5) == fixed;
  });
  for (int i = 0; i < 500; ++i) {
    const Allocation* const one = memory.allocate(3000, MemoryKind::kDevice, "one");
    REQUIRE(one != nullptr);
    if (i % 2 == 0) memory.release(one->begin);
  }
  reader.join();
  CHECK(always);
}

}  // namespace ptx_emulator::test
