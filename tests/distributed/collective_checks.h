#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "src/distributed/communicator.h"

namespace ovid::test {

// Where the operands of a communicator lie.
class OperandMemory {
 public:
  virtual ~OperandMemory() = default;
  // Never null; freed with this object.
  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void upload(std::byte* to, std::span<const std::byte> bytes) = 0;
  // Behind everything that was enqueued.
  virtual std::vector<std::byte> download(const std::byte* from, std::size_t bytes) = 0;
};

class HostMemory final : public OperandMemory {
 public:
  std::byte* allocate(std::size_t bytes) override;
  void upload(std::byte* to, std::span<const std::byte> bytes) override;
  std::vector<std::byte> download(const std::byte* from, std::size_t bytes) override;

 private:
  std::vector<std::vector<std::byte>> blocks_;
};

// All collectives with all types and sizes 0, 1, odd and large; called by every rank. Sums must be
// those in the order of the ranks, to the bit. Returns the first difference, empty where none.
std::string check_collectives(distributed::Communicator& communicator, OperandMemory& memory,
                              const std::vector<std::int64_t>& sizes);

// Begins several and waits for them in another order, beside exchanges.
std::string check_overlap(distributed::Communicator& communicator, OperandMemory& memory);

}  // namespace ovid::test
