#pragma once
// What race checks remember of each piece of memory, as fine as the accesses need it.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

namespace ptx_emulator::checks {

// Cells of 1 to 16 bytes, by address. A page's cells are as large as the largest power of two that
// all its accesses so far were multiples of: neighbours that different threads touch never share a
// cell. Cell: default-constructible (untouched) and copyable.
template <typename Cell>
class CellMap {
 public:
  // Calls use(Cell&, address) for every cell of [address, address + bytes). `granule`: a power of
  // two of which address and bytes are multiples.
  template <typename Use>
  void for_each(std::uint64_t address, std::uint64_t bytes, std::uint32_t granule, Use use) {
    const std::uint64_t end = address + bytes;
    while (address < end) {
      Page& page = page_of(address, std::min(granule, kMostCellBytes));
      const std::uint64_t page_end = std::min(end, (address / kPageBytes + 1) * kPageBytes);
      Cell* cell = &page.cells[address % kPageBytes / page.cell_bytes];
      for (; address < page_end; address += page.cell_bytes, ++cell) use(*cell, address);
    }
  }
  // Ends what is known of the range; of cells that it covers in part too.
  void forget(std::uint64_t address, std::uint64_t bytes) {
    for (std::uint64_t end = address + bytes; address < end;) {
      const std::uint64_t next = std::min(end, (address / kPageBytes + 1) * kPageBytes);
      if (const auto found = pages_.find(address / kPageBytes); found != pages_.end()) {
        Page& page = *found->second;
        const std::uint64_t first = address % kPageBytes / page.cell_bytes;
        const std::uint64_t last = ((next - 1) % kPageBytes) / page.cell_bytes;
        std::fill(page.cells.begin() + static_cast<std::ptrdiff_t>(first),
                  page.cells.begin() + static_cast<std::ptrdiff_t>(last) + 1, Cell{});
      }
      address = next;
    }
  }
  void clear() {
    pages_.clear();
    last_ = nullptr;
    num_cells_ = 0;
  }
  std::size_t num_cells() const { return num_cells_; }

 private:
  static constexpr std::uint64_t kPageBytes = 1024;
  static constexpr std::uint32_t kMostCellBytes = 16;

  struct Page {
    std::uint32_t cell_bytes = kMostCellBytes;
    std::vector<Cell> cells;
  };

  Page& page_of(std::uint64_t address, std::uint32_t granule) {
    const std::uint64_t number = address / kPageBytes;
    if (last_ == nullptr || number != last_number_) {
      std::unique_ptr<Page>& page = pages_[number];
      if (!page) {
        page = std::make_unique<Page>();
        page->cell_bytes = granule;
        page->cells.resize(kPageBytes / granule);
        num_cells_ += page->cells.size();
      }
      last_ = page.get();
      last_number_ = number;
    }
    if (last_->cell_bytes > granule) refine(*last_, granule);
    return *last_;
  }
  // What was done to a cell was done to each of its parts.
  void refine(Page& page, std::uint32_t granule) {
    std::vector<Cell> finer;
    finer.reserve(kPageBytes / granule);
    for (const Cell& cell : page.cells) finer.insert(finer.end(), page.cell_bytes / granule, cell);
    num_cells_ += finer.size() - page.cells.size();
    page.cells = std::move(finer);
    page.cell_bytes = granule;
  }

  std::unordered_map<std::uint64_t, std::unique_ptr<Page>> pages_;
  Page* last_ = nullptr;
  std::uint64_t last_number_ = 0;
  std::size_t num_cells_ = 0;
};

// The largest power of two up to 16 of which both are multiples.
inline std::uint32_t granule_of(std::uint64_t address, std::uint64_t bytes) {
  const std::uint64_t bits = address | bytes | 16;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

}  // namespace ptx_emulator::checks
