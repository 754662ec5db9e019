#include "src/distributed/mpi_module.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "src/core/error.h"
#include "src/distributed/memory_flight_recorder.h"
#include "src/distributed/message_communicator.h"
#include "src/distributed/mpi_table.h"

namespace ovid::distributed {

namespace {

namespace fs = std::filesystem;

constexpr const char* kModuleFile = "libovid_mpi.so";

std::vector<fs::path> candidates() {
  if (const char* named = std::getenv("OVID_MPI_MODULE"); named != nullptr && *named != '\0') {
    return {named};
  }
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  return {folder / kModuleFile, folder.parent_path() / "lib/ovid" / kModuleFile};
}

[[noreturn]] void refuse(const std::string& reason) {
  throw ResourceError("MPI is not available: " + reason);
}

const MpiTable& load() {
  const std::vector<fs::path> paths = candidates();
  fs::path found;
  for (const fs::path& path : paths) {
    std::error_code error;
    if (found.empty() && fs::is_regular_file(path, error)) found = path;
  }
  if (found.empty()) {
    refuse(
        fmt::format("there is no {} (this program was built without MPI, or its module was not "
                    "installed beside it); install libopenmpi-dev and build again, or start "
                    "ranks of one machine with `ovid train --processes N`",
                    paths.front().string()));
  }
  // Global: Open MPI's own plugins look for its symbols there. The module shows one of its own.
  void* const module = ::dlopen(found.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) {
    refuse(
        fmt::format("{}; install the MPI library that the module was built with "
                    "(openmpi-bin), or set LD_LIBRARY_PATH to it",
                    ::dlerror()));
  }
  const auto entry = reinterpret_cast<const MpiTable* (*)()>(::dlsym(module, "ovid_mpi_table"));
  if (entry == nullptr) refuse(found.string() + " is no MPI module of Ovid");
  const MpiTable& table = *entry();
  if (std::strcmp(table.interface, kMpiInterface) != 0) {
    refuse(
        fmt::format("{} has interface {}, this program needs {}; build both from the same "
                    "sources",
                    found.string(), table.interface, kMpiInterface));
  }
  return table;
}

}  // namespace

std::unique_ptr<MessageTransport> open_mpi_transport() {
  return load().open();
}

std::unique_ptr<Communicator> open_mpi_world() {
  return make_message_communicator(open_mpi_transport(), std::make_unique<MemoryFlightRecorder>());
}

}  // namespace ovid::distributed
