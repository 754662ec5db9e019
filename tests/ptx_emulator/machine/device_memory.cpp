#include "tests/ptx_emulator/machine/device_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <utility>

#include "tests/ptx_emulator/machine/warp.h"

namespace ptx_emulator {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
// Freed ranges are not used again before the whole range has been: this much address space makes
// that rare.
constexpr std::uint64_t kMostReservedBytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kLeastReservedBytes = std::uint64_t{1} << 32;
// Larger allocations are left as the system gives them: filling them would commit memory that may
// never be used.
constexpr std::uint64_t kMostPoisonedBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kLeastGapBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kMostGapBytes = std::uint64_t{4} << 20;
// Fixed places, so that a program sees the same addresses every time, far from the windows of
// warp.h and from where the system puts libraries.
constexpr std::uint64_t kFirstView = 0x2000'0000'0000u;
constexpr std::uint64_t kViewStride = kMostReservedBytes;
constexpr std::uint64_t kNumPlaces = 48;
static_assert(kFirstView + kNumPlaces * kViewStride < kSharedWindow);

std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Maps at the next fixed place, or anywhere where all are taken. MAP_FAILED where nothing is free.
void* map_view(std::uint64_t bytes, int protection, int flags, int descriptor) {
  static std::atomic<std::uint64_t> next{0};
  for (std::uint64_t i = 0; i < kNumPlaces; ++i) {
    const std::uint64_t wish = kFirstView + kViewStride * (next.fetch_add(1) % kNumPlaces);
    void* view = mmap(reinterpret_cast<void*>(wish), bytes, protection,
                      flags | MAP_FIXED_NOREPLACE | MAP_NORESERVE, descriptor, 0);
    if (view != MAP_FAILED) return view;
    if (errno != EEXIST) break;
  }
  return mmap(nullptr, bytes, protection, flags | MAP_NORESERVE, descriptor, 0);
}

// Address space that allocations are cut from, page by page, with a table from pages to
// allocations.
class Range {
 public:
  // `separate_view`: the machine works through a second mapping of the same memory; otherwise host
  // and device share one.
  explicit Range(bool separate_view) {
    for (bytes_ = kMostReservedBytes; bytes_ >= kLeastReservedBytes; bytes_ /= 2) {
      if (reserve(separate_view)) return;
    }
    throw std::runtime_error(
        "the emulator's device memory: cannot reserve 4 GiB of address space (" +
        std::string(std::strerror(errno)) + "); raise the limit of `ulimit -v`");
  }
  ~Range() { unmap(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

  bool contains(std::uint64_t address) const { return address - begin_ < bytes_; }
  const Allocation* find(std::uint64_t address) const {
    return table_[(address - begin_) / kPageBytes].load(std::memory_order_acquire);
  }
  std::ptrdiff_t to_host() const { return to_host_; }

  // Begin of `bytes` free bytes (a multiple of pages), 0 where there are none.
  std::uint64_t take(std::uint64_t bytes) {
    const std::uint64_t gap =
        round_up(std::clamp(bytes / 8, kLeastGapBytes, kMostGapBytes), kPageBytes);
    if (bytes > bytes_ || bytes_ - bytes < gap) return 0;
    if (cursor_ <= bytes_ - bytes - gap) {
      const std::uint64_t begin = begin_ + cursor_;
      cursor_ += bytes + gap;
      return begin;
    }
    const auto fits = std::find_if(freed_.begin(), freed_.end(),
                                   [&](const auto& part) { return part.second >= bytes; });
    if (fits == freed_.end()) return 0;
    const std::uint64_t begin = fits->first;
    freed_.erase(fits);
    return begin;
  }
  bool commit(std::uint64_t begin, std::uint64_t bytes) {
    if (to_host_ != 0) return true;
    return mprotect(reinterpret_cast<void*>(begin), bytes, PROT_READ | PROT_WRITE) == 0;
  }
  void enter(std::uint64_t begin, std::uint64_t bytes, const Allocation* allocation) {
    for (std::uint64_t page = 0; page < bytes / kPageBytes; ++page) {
      table_[(begin - begin_) / kPageBytes + page].store(allocation, std::memory_order_release);
    }
  }
  // Gives the memory back and keeps the addresses.
  void give_back(std::uint64_t begin, std::uint64_t bytes) {
    freed_.emplace_back(begin, bytes);
    if (to_host_ != 0) {
      fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(begin - begin_), static_cast<off_t>(bytes));
    } else {
      mprotect(reinterpret_cast<void*>(begin), bytes, PROT_NONE);
      madvise(reinterpret_cast<void*>(begin), bytes, MADV_DONTNEED);
    }
  }

 private:
  bool reserve(bool separate_view) {
    void* view = MAP_FAILED;
    if (separate_view) {
      descriptor_ = memfd_create("ptx-emulator device memory", MFD_CLOEXEC);
      if (descriptor_ < 0 || ftruncate(descriptor_, static_cast<off_t>(bytes_)) != 0) {
        unmap();
        return false;
      }
      view = map_view(bytes_, PROT_NONE, MAP_SHARED, descriptor_);
      second_ = map_view(bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_);
    } else {
      view = map_view(bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
      second_ = view;
    }
    void* const table = mmap(nullptr, bytes_ / kPageBytes * sizeof(Entry), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    begin_ = view == MAP_FAILED ? 0 : reinterpret_cast<std::uint64_t>(view);
    table_ = table == MAP_FAILED ? nullptr : static_cast<Entry*>(table);
    if (view == MAP_FAILED || second_ == MAP_FAILED || table_ == nullptr) {
      unmap();
      return false;
    }
    to_host_ = static_cast<std::byte*>(second_) - static_cast<std::byte*>(view);
    return true;
  }
  void unmap() {
    if (table_ != nullptr) munmap(table_, bytes_ / kPageBytes * sizeof(Entry));
    if (second_ != MAP_FAILED && second_ != reinterpret_cast<void*>(begin_)) {
      munmap(second_, bytes_);
    }
    if (begin_ != 0) munmap(reinterpret_cast<void*>(begin_), bytes_);
    if (descriptor_ >= 0) close(descriptor_);
    table_ = nullptr;
    second_ = MAP_FAILED;
    begin_ = 0;
    descriptor_ = -1;
  }

  using Entry = std::atomic<const Allocation*>;
  std::uint64_t begin_ = 0, bytes_ = 0, cursor_ = 0;
  std::ptrdiff_t to_host_ = 0;
  void* second_ = MAP_FAILED;
  Entry* table_ = nullptr;
  int descriptor_ = -1;
  std::deque<std::pair<std::uint64_t, std::uint64_t>> freed_;  // begin and bytes, oldest first
};

}  // namespace

struct DeviceMemory::State {
  std::uint64_t capacity = 0;
  std::atomic<std::uint64_t> used{0};
  std::unique_ptr<Range> device, host;  // reserved at first use
  std::atomic<const Range*> device_view{nullptr}, host_view{nullptr};
  std::deque<Allocation> allocations;
  // Everything ever allocated, by begin; a place used again holds its last user.
  mutable std::shared_mutex mutex;
  std::map<std::uint64_t, Allocation*> by_begin;
  std::map<std::uint64_t, Allocation*> adopted;  // live and freed memory of the host
  std::atomic<bool> any_adopted{false};
  std::vector<const DeviceMemory*> peers;

  Range& range_of(MemoryKind kind) {
    const bool separate = kind == MemoryKind::kDevice || kind == MemoryKind::kConstant;
    std::unique_ptr<Range>& range = separate ? device : host;
    if (!range) {
      range = std::make_unique<Range>(separate);
      (separate ? device_view : host_view).store(range.get(), std::memory_order_release);
    }
    return *range;
  }
  Allocation* add(Allocation allocation) {
    const std::unique_lock lock(mutex);
    allocation.number = allocations.size() + 1;
    allocations.push_back(std::move(allocation));
    Allocation* const added = &allocations.back();
    by_begin[added->begin] = added;
    return added;
  }
  const Allocation* find_own(std::uint64_t address) const {
    for (const auto* view : {&device_view, &host_view}) {
      const Range* const range = view->load(std::memory_order_acquire);
      if (range == nullptr || !range->contains(address)) continue;
      const Allocation* const found = range->find(address);
      return found != nullptr && address < found->end ? found : nullptr;
    }
    if (!any_adopted.load(std::memory_order_acquire)) return nullptr;
    const std::shared_lock lock(mutex);
    auto after = adopted.upper_bound(address);
    if (after == adopted.begin()) return nullptr;
    const Allocation* const found = std::prev(after)->second;
    return address < found->end ? found : nullptr;
  }
};

DeviceMemory::DeviceMemory(std::uint64_t capacity_bytes) : state_(std::make_unique<State>()) {
  state_->capacity = capacity_bytes;
}
DeviceMemory::~DeviceMemory() = default;

const Allocation* DeviceMemory::allocate(std::uint64_t bytes, MemoryKind kind, std::string label) {
  State& s = *state_;
  const bool of_device = kind == MemoryKind::kDevice || kind == MemoryKind::kConstant;
  if (bytes == 0 || bytes > kMostReservedBytes) return nullptr;
  if (of_device && bytes > s.capacity - std::min(s.used.load(), s.capacity)) return nullptr;
  Range& range = s.range_of(kind);
  const std::uint64_t span = round_up(bytes, kPageBytes);
  const std::uint64_t begin = range.take(span);
  if (begin == 0 || !range.commit(begin, span)) return nullptr;
  Allocation* const added = s.add({.begin = begin,
                                   .end = begin + bytes,
                                   .to_host = range.to_host(),
                                   .kind = kind,
                                   .freed = false,
                                   .number = 0,
                                   .label = std::move(label)});
  range.enter(begin, span, added);
  if (of_device) s.used += bytes;
  // Managed memory of the host begins as zeros, as the system gives it; the devices' is full of
  // NaN.
  if (of_device && bytes <= kMostPoisonedBytes) {
    std::memset(reinterpret_cast<void*>(begin + static_cast<std::uint64_t>(added->to_host)), 0xFF,
                bytes);
  }
  return added;
}

const Allocation* DeviceMemory::adopt(void* pointer, std::uint64_t bytes, std::string label) {
  const std::uint64_t begin = reinterpret_cast<std::uint64_t>(pointer);
  if (pointer == nullptr || bytes == 0 ||
      bytes > std::numeric_limits<std::uint64_t>::max() - begin) {
    return nullptr;
  }
  State& s = *state_;
  {
    const std::unique_lock lock(s.mutex);
    for (auto part = s.adopted.begin(); part != s.adopted.end();) {
      const bool overlaps = part->second->begin < begin + bytes && begin < part->second->end;
      if (overlaps && !part->second->freed) return nullptr;
      part = overlaps ? s.adopted.erase(part) : std::next(part);
    }
  }
  Allocation* const added = s.add({.begin = begin,
                                   .end = begin + bytes,
                                   .to_host = 0,
                                   .kind = MemoryKind::kPinned,
                                   .freed = false,
                                   .number = 0,
                                   .label = std::move(label)});
  const std::unique_lock lock(s.mutex);
  s.adopted[begin] = added;
  s.any_adopted.store(true, std::memory_order_release);
  return added;
}

bool DeviceMemory::release(std::uint64_t address) {
  State& s = *state_;
  Allocation* found = nullptr;
  {
    const std::unique_lock lock(s.mutex);
    const auto place = s.by_begin.find(address);
    if (place == s.by_begin.end() || place->second->freed) return false;
    found = place->second;
    found->freed = true;
    if (s.adopted.count(address) != 0 && s.adopted[address] == found) {
      // The host goes on using its memory: nothing to reserve, and no later access to blame.
      s.adopted.erase(address);
      return true;
    }
  }
  const std::uint64_t bytes = found->end - found->begin;
  if (found->kind == MemoryKind::kDevice || found->kind == MemoryKind::kConstant) s.used -= bytes;
  s.range_of(found->kind).give_back(found->begin, round_up(bytes, kPageBytes));
  return true;
}

const Allocation* DeviceMemory::find(std::uint64_t address) const {
  if (const Allocation* const own = state_->find_own(address)) return own;
  for (const DeviceMemory* const peer : state_->peers) {
    if (const Allocation* const found = peer->state_->find_own(address)) return found;
  }
  return nullptr;
}

bool DeviceMemory::reserves(std::uint64_t address) const {
  for (const auto* view : {&state_->device_view, &state_->host_view}) {
    const Range* const range = view->load(std::memory_order_acquire);
    if (range != nullptr && range->contains(address)) return true;
  }
  return false;
}

const Allocation* DeviceMemory::nearest_below(std::uint64_t address) const {
  const Allocation* nearest = nullptr;
  const auto look = [&](const State& s) {
    const std::shared_lock lock(s.mutex);
    auto after = s.by_begin.upper_bound(address);
    if (after == s.by_begin.begin()) return;
    const Allocation* const below = std::prev(after)->second;
    if (nearest == nullptr || below->begin > nearest->begin) nearest = below;
  };
  look(*state_);
  for (const DeviceMemory* const peer : state_->peers) look(*peer->state_);
  return nearest;
}

void DeviceMemory::add_peer(const DeviceMemory& other) {
  remove_peer(other);
  if (&other != this) state_->peers.push_back(&other);
}

void DeviceMemory::remove_peer(const DeviceMemory& other) {
  std::vector<const DeviceMemory*>& peers = state_->peers;
  peers.erase(std::remove(peers.begin(), peers.end(), &other), peers.end());
}

std::byte* DeviceMemory::host_pointer(std::uint64_t address, std::uint64_t bytes) const {
  const Allocation* const found = find(address);
  if (found == nullptr || found->freed || bytes > found->end - address) return nullptr;
  return reinterpret_cast<std::byte*>(address + static_cast<std::uint64_t>(found->to_host));
}

std::uint64_t DeviceMemory::used_bytes() const {
  return state_->used;
}
std::uint64_t DeviceMemory::capacity_bytes() const {
  return state_->capacity;
}

std::vector<const Allocation*> DeviceMemory::live() const {
  const std::shared_lock lock(state_->mutex);
  std::vector<const Allocation*> live;
  for (const auto& [begin, allocation] : state_->by_begin) {
    if (!allocation->freed) live.push_back(allocation);
  }
  return live;
}

}  // namespace ptx_emulator
