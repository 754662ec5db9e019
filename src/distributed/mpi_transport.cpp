// The MPI module: messages by MPI. Nothing else of the program includes its header.
#include <fmt/format.h>
#include <mpi.h>

#include <source_location>
#include <string>
#include <unordered_map>
#include <utility>

#include "src/core/error.h"
#include "src/distributed/errors.h"
#include "src/distributed/mpi_table.h"

namespace ovid::distributed {

namespace {

void check(int status, std::source_location place = std::source_location::current()) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw RankError(fmt::format("MPI: {} (in {}); another rank or the network may have failed", text,
                              place.function_name()));
}

// "Open MPI v4.1.4" of a text that goes on for lines.
std::string library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string whole(text, static_cast<std::size_t>(length));
  return whole.substr(0, whole.find_first_of(",\n"));
}

RankInfo discover() {
  RankInfo ranks;
  check(MPI_Comm_rank(MPI_COMM_WORLD, &ranks.rank));
  check(MPI_Comm_size(MPI_COMM_WORLD, &ranks.count));
  MPI_Comm machine = MPI_COMM_NULL;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine));
  check(MPI_Comm_rank(machine, &ranks.local_rank));
  check(MPI_Comm_size(machine, &ranks.local_count));
  check(MPI_Comm_free(&machine));
  return ranks;
}

class MpiTransport final : public MessageTransport {
 public:
  MpiTransport() {
    int initialised = 0;
    MPI_Initialized(&initialised);
    if (initialised != 0) throw ResourceError("MPI was started before in this process");
    int level = MPI_THREAD_SINGLE;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level));
    if (level < MPI_THREAD_SERIALIZED) {
      MPI_Finalize();
      throw ResourceError(
          "this MPI library cannot be called from a thread of its own (MPI_THREAD_SERIALIZED); "
          "install one that can, such as Debian's openmpi-bin");
    }
    // Errors come back, for the message and for the exit code of ours.
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
    ranks_ = discover();
    // Apart from what the library itself, or another one, sends.
    check(MPI_Comm_dup(MPI_COMM_WORLD, &communicator_));
    check(MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
    description_ = library_version();
  }

  ~MpiTransport() override {
    if (is_abandoned_) return;  // MPI_Finalize would wait for the dead; the launcher cleans up
    for (auto& [number, request] : requests_) {
      MPI_Cancel(&request.handle);
      MPI_Request_free(&request.handle);
    }
    MPI_Comm_free(&communicator_);
    MPI_Finalize();
  }

  RankInfo ranks() const override { return ranks_; }
  std::string description() const override { return description_; }

  Request send(int to, Channel channel, std::span<const std::byte> bytes) override {
    MPI_Request handle = MPI_REQUEST_NULL;
    check(MPI_Isend(bytes.data(), count_of(bytes.size()), MPI_BYTE, to, tag_of(channel),
                    communicator_, &handle));
    return keep({.handle = handle, .is_data_receive = false});
  }

  Request receive(int from, Channel channel, std::span<std::byte> bytes) override {
    MPI_Request handle = MPI_REQUEST_NULL;
    check(MPI_Irecv(bytes.data(), count_of(bytes.size()), MPI_BYTE,
                    from == kAnyRank ? MPI_ANY_SOURCE : from, tag_of(channel), communicator_,
                    &handle));
    return keep({.handle = handle, .is_data_receive = channel == Channel::kData});
  }

  bool done(Request request) override {
    const auto found = requests_.find(request);
    if (found == requests_.end()) return true;
    int is_done = 0;
    check(MPI_Test(&found->second.handle, &is_done, MPI_STATUS_IGNORE));
    if (is_done != 0) requests_.erase(found);
    return is_done != 0;
  }

  void abandon() noexcept override {
    if (is_abandoned_) return;  // a request is cancelled at most once
    is_abandoned_ = true;
    for (auto& [number, request] : requests_) {
      if (request.is_data_receive) MPI_Cancel(&request.handle);
    }
  }

 private:
  struct Open {
    MPI_Request handle;
    bool is_data_receive;
  };

  static int count_of(std::size_t bytes) {
    if (bytes > kLargestMessage) {
      throw ResourceError(
          fmt::format("MPI: a message of {} bytes, at most {}", bytes, kLargestMessage));
    }
    return static_cast<int>(bytes);
  }
  static int tag_of(Channel channel) { return 1 + static_cast<int>(channel); }

  Request keep(Open request) {
    requests_.emplace(++last_, request);
    return last_;
  }

  RankInfo ranks_;
  std::string description_;
  MPI_Comm communicator_ = MPI_COMM_NULL;
  std::unordered_map<Request, Open> requests_;
  Request last_ = 0;
  bool is_abandoned_ = false;
};

std::unique_ptr<MessageTransport> open() {
  return std::make_unique<MpiTransport>();
}

}  // namespace

}  // namespace ovid::distributed

extern "C" __attribute__((visibility("default"))) const ovid::distributed::MpiTable*
ovid_mpi_table() {
  using namespace ovid::distributed;
  static const MpiTable table{.interface = kMpiInterface, .open = &open};
  return &table;
}
