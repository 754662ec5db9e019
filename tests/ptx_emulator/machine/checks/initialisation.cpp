#include "tests/ptx_emulator/machine/checks/initialisation.h"

#include <algorithm>
#include <iterator>

namespace ptx_emulator::checks {

// Ends the wholly fresh state of the pages of [begin, end), given in pages.
void UninitialisedBytes::clear_whole_pages(std::uint64_t begin, std::uint64_t end) {
  auto range = fresh_pages_.upper_bound(begin);
  if (range != fresh_pages_.begin()) --range;
  while (range != fresh_pages_.end() && range->first < end) {
    const auto [first, last] = *range;
    if (last <= begin) {
      ++range;
      continue;
    }
    range = fresh_pages_.erase(range);
    if (first < begin) fresh_pages_.emplace(first, begin);
    if (last > end) range = std::next(fresh_pages_.emplace(end, last).first);
  }
}

void UninitialisedBytes::mark_fresh(std::uint64_t address, std::uint64_t bytes) {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  const std::uint64_t end = address + bytes;
  const std::uint64_t first_whole = (address + kPageBytes - 1) / kPageBytes,
                      last_whole = end / kPageBytes;
  if (first_whole < last_whole) {
    clear_whole_pages(first_whole, last_whole);
    for (std::uint64_t page = first_whole; page < last_whole && !mixed_pages_.empty(); ++page)
      mixed_pages_.erase(page);
    fresh_pages_.emplace(first_whole, last_whole);
  }
  for (std::uint64_t at = address; at < end;) {
    const std::uint64_t page = at / kPageBytes, page_end = std::min(end, (page + 1) * kPageBytes);
    if (page >= first_whole && page < last_whole) {
      at = last_whole * kPageBytes;
      continue;
    }
    std::unique_ptr<Page>& bits = mixed_pages_[page];
    if (!bits) bits = std::make_unique<Page>();
    for (; at < page_end; ++at) bits->set(at % kPageBytes);
  }
}

void UninitialisedBytes::mark_written(std::uint64_t address, std::uint64_t bytes) {
  if (bytes == 0) return;
  const std::lock_guard lock(mutex_);
  if (fresh_pages_.empty() && mixed_pages_.empty()) return;
  const std::uint64_t end = address + bytes;
  for (std::uint64_t at = address; at < end;) {
    const std::uint64_t page = at / kPageBytes, page_end = std::min(end, (page + 1) * kPageBytes);
    if (at % kPageBytes == 0 && end >= (page + 1) * kPageBytes) {  // whole pages at once
      const std::uint64_t last = end / kPageBytes;
      clear_whole_pages(page, last);
      for (std::uint64_t whole = page; whole < last && !mixed_pages_.empty(); ++whole)
        mixed_pages_.erase(whole);
      at = last * kPageBytes;
      continue;
    }
    auto mixed = mixed_pages_.find(page);
    if (mixed == mixed_pages_.end()) {
      const auto after = fresh_pages_.upper_bound(page);
      const bool fresh = after != fresh_pages_.begin() && std::prev(after)->second > page;
      if (!fresh) {
        at = page_end;
        continue;
      }
      clear_whole_pages(page, page + 1);
      mixed = mixed_pages_.emplace(page, std::make_unique<Page>()).first;
      mixed->second->set();
    }
    for (; at < page_end; ++at) mixed->second->reset(at % kPageBytes);
  }
}

std::optional<std::uint64_t> UninitialisedBytes::first_fresh(std::uint64_t address,
                                                             std::uint64_t bytes) const {
  const std::lock_guard lock(mutex_);
  if (fresh_pages_.empty() && mixed_pages_.empty()) return std::nullopt;
  const std::uint64_t end = address + bytes;
  for (std::uint64_t at = address; at < end;) {
    const std::uint64_t page = at / kPageBytes, page_end = std::min(end, (page + 1) * kPageBytes);
    const auto after = fresh_pages_.upper_bound(page);
    if (after != fresh_pages_.begin() && std::prev(after)->second > page) return at;
    const auto mixed = mixed_pages_.find(page);
    if (mixed != mixed_pages_.end()) {
      for (std::uint64_t byte = at; byte < page_end; ++byte) {
        if (mixed->second->test(byte % kPageBytes)) return byte;
      }
    }
    at = page_end;
  }
  return std::nullopt;
}

void UninitialisedShared::mark_written(std::uint32_t offset, std::uint32_t bytes) {
  const std::size_t end = std::min<std::size_t>(std::size_t{offset} + bytes, fresh_.size());
  for (std::size_t i = offset; i < end; ++i) fresh_[i] = false;
}

std::optional<std::uint32_t> UninitialisedShared::first_fresh(std::uint32_t offset,
                                                              std::uint32_t bytes) const {
  const std::size_t end = std::min<std::size_t>(std::size_t{offset} + bytes, fresh_.size());
  for (std::size_t i = offset; i < end; ++i) {
    if (fresh_[i]) return static_cast<std::uint32_t>(i);
  }
  return std::nullopt;
}

}  // namespace ptx_emulator::checks
