#include "src/core/checksum.h"

#include <string_view>

#include "src/core/checked_arithmetic.h"
#include "tests/catch.h"

namespace ovid {

TEST_CASE("checksum does not depend on how the bytes are cut", "[core]") {
  const std::string_view text = "Ovid's Unicorn, 1 horn and 4 legs";
  const auto bytes = std::as_bytes(std::span(text));
  Checksum pieces;
  pieces.update(bytes.subspan(0, 7));
  pieces.update({});
  pieces.update(bytes.subspan(7));
  CHECK(pieces.digest() == checksum_of(bytes));
  CHECK(checksum_of(bytes).size() == 32);
  CHECK(checksum_of(bytes) != checksum_of(bytes.subspan(1)));
  CHECK(checksum_of({}) ==
        "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing, from xxHash's documentation
}

TEST_CASE("size arithmetic reports what does not fit in 64 bits", "[core]") {
  CHECK(checked_add(1, 2) == 3);
  CHECK_FALSE(checked_add(~0ull, 1).has_value());
  CHECK(checked_multiply(1ull << 32, 1ull << 31) == (1ull << 63));
  CHECK_FALSE(checked_multiply(1ull << 32, 1ull << 32).has_value());
}

}  // namespace ovid
