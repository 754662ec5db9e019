#pragma once

#include "tests/architecture/tree_files.h"

namespace ovid::test {

// Every folder of kernels/ except common, cpu and cuda is an op and has its contract, checks,
// reference, CPU body, CUDA body (or an entry in kernels/cuda/absent.cpp that says there is none),
// its test and its row in kernels/README.md.
Problems check_op_folders(const std::filesystem::path& root);

}  // namespace ovid::test
