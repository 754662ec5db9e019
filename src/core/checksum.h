#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace ovid {

// XXH3, 128 bits, fed piece by piece. digest() is 32 lower-case hexadecimal digits, most
// significant first, the form that `xxhsum -H2` prints. Guards against damage, not against an
// adversary.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(Checksum&&) noexcept;
  Checksum& operator=(Checksum&&) noexcept;

  void update(std::span<const std::byte> bytes);
  std::string digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string checksum_of(std::span<const std::byte> bytes);

// A 64-bit hash of bytes, for fingerprints and hash tables.
std::uint64_t hash64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace ovid
