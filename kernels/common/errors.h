#pragma once

#include <stdexcept>
#include <string>

namespace ovid::kernels {

// Operands that do not fit together: the message names the op, the operand, what it is and what it
// must be.
struct ShapeError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A device or backend that is not there, or failed.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A device without the memory that was asked for.
struct DeviceMemoryError : DeviceError {
  using DeviceError::DeviceError;
};

}  // namespace ovid::kernels
