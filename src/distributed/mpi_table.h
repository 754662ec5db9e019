#pragma once

#include <memory>

#include "src/distributed/message_transport.h"

// What the program and its MPI module (libovid_mpi.so) agree on.
namespace ovid::distributed {

// Changes whenever something that crosses the border does; a module of another build is refused.
inline constexpr const char* kMpiInterface = "ovid-mpi-1";

// What the module's one function, ovid_mpi_table, returns.
struct MpiTable {
  const char* interface;
  // Starts MPI. Throws ResourceError.
  std::unique_ptr<MessageTransport> (*open)();
};

}  // namespace ovid::distributed
