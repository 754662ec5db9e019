#pragma once

#include <memory>

#include "src/distributed/communicator.h"
#include "src/distributed/message_transport.h"

// MPI is a module that is loaded on demand (libovid_mpi.so, docs/decisions/0013-mpi-and-nccl.md):
// the program has no dependency on it, and it costs nothing where it is not used.
namespace ovid::distributed {

// Loads the module (where the environment variable OVID_MPI_MODULE says, or libovid_mpi.so beside
// the program, then in ../lib/ovid), starts MPI and joins the launcher's ranks: waits until all are
// there. Once in a process, and where DiscoveredRanks::started_by_mpi: without a launcher MPI is a
// run of one rank. Throws ResourceError with the reason and the cure where it cannot.
std::unique_ptr<MessageTransport> open_mpi_transport();

// The same as a communicator of host memory: ranks() says who this process is.
std::unique_ptr<Communicator> open_mpi_world();

}  // namespace ovid::distributed
