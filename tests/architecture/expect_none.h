#pragma once

#include "tests/architecture/tree_files.h"
#include "tests/catch.h"

namespace ovid::test {

// Fails the test with the list of problems, and goes on.
inline void expect_none(const Problems& problems) {
  if (!problems.empty()) FAIL_CHECK(problems.size() << " problems:" << join(problems));
  SUCCEED();
}

}  // namespace ovid::test
