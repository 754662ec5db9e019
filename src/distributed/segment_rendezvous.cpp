#include "src/distributed/segment_rendezvous.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/core/stopwatch.h"
#include "src/distributed/errors.h"

namespace ovid::distributed {
namespace {

class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

[[noreturn]] void throw_system(const char* what) {
  throw ResourceError(
      fmt::format("{} between the ranks of this machine: {}", what, std::strerror(errno)));
}

Socket make_socket() {
  Socket socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) throw_system("a socket");
  return socket;
}

// An abstract name: the first byte is a zero. The user is part of it, and checked on both sides.
struct Address {
  sockaddr_un address = {};
  socklen_t length = 0;

  explicit Address(std::string_view run_token) {
    const std::string name = fmt::format("ovid-ranks/{}/{}", ::getuid(),
                                         checksum_of(std::as_bytes(std::span(run_token))));
    address.sun_family = AF_UNIX;
    const std::size_t used = std::min(name.size(), sizeof address.sun_path - 1);
    std::copy_n(name.begin(), used, address.sun_path + 1);
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + used);
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

bool is_of_this_user(const Socket& socket) {
  ucred peer = {};
  socklen_t length = sizeof peer;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         peer.uid == ::getuid();
}

bool is_readable_within(const Socket& socket, double seconds) {
  pollfd entry{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, static_cast<int>(std::clamp(seconds, 0.0, 1e6) * 1e3)) > 0;
}

// Room for one descriptor beside a message.
union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

msghdr message_of(iovec& content, Control& control) {
  msghdr message = {};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  return message;
}

void send_descriptor(const Socket& socket, int descriptor) {
  std::int32_t greeting = 0;
  iovec content{.iov_base = &greeting, .iov_len = sizeof greeting};
  Control control = {};
  msghdr message = message_of(content, control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  // A rank that is gone by now will be missed when all join.
  (void)::sendmsg(socket.get(), &message, MSG_NOSIGNAL);
}

std::optional<int> receive_descriptor(const Socket& socket) {
  std::int32_t greeting = 0;
  iovec content{.iov_base = &greeting, .iov_len = sizeof greeting};
  Control control = {};
  msghdr message = message_of(content, control);
  if (::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC) <= 0) return std::nullopt;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return std::nullopt;
  }
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
  return descriptor;
}

std::string missing_ranks(const std::vector<bool>& is_there) {
  std::string text;
  for (std::size_t rank = 0; rank < is_there.size(); ++rank) {
    if (!is_there[rank]) text += fmt::format("{}{}", text.empty() ? "" : ", ", rank);
  }
  return text;
}

RankSegment hand_out(const RankInfo& ranks, const Address& address, double join_seconds) {
  const Socket listener = make_socket();
  if (::bind(listener.get(), address.get(), address.length) != 0) {
    if (errno != EADDRINUSE) throw_system("a socket's name");
    throw UsageError(
        "another run of this user on this machine has the same ranks' environment; set "
        "OVID_RUN_TOKEN to a text of its own in all ranks of one of them");
  }
  if (::listen(listener.get(), ranks.count) != 0) throw_system("a socket");
  RankSegment segment = RankSegment::create(ranks.count);
  std::vector<bool> is_there(static_cast<std::size_t>(ranks.count), false);
  is_there[static_cast<std::size_t>(ranks.rank)] = true;
  const Stopwatch watch;
  while (std::find(is_there.begin(), is_there.end(), false) != is_there.end()) {
    const double left = join_seconds - watch.seconds();
    if (left <= 0 || !is_readable_within(listener, left)) {
      throw RankError(
          fmt::format("of {} ranks these did not join within {} s: {}; look at their "
                      "messages, or at whether as many processes were started",
                      ranks.count, join_seconds, missing_ranks(is_there)));
    }
    const Socket rank(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::int32_t number = -1;
    // A process that says nothing must not hold up the others.
    if (rank.get() < 0 || !is_of_this_user(rank) || !is_readable_within(rank, 1.0) ||
        ::recv(rank.get(), &number, sizeof number, 0) != sizeof number || number < 0 ||
        number >= ranks.count) {
      continue;
    }
    send_descriptor(rank, segment.descriptor());
    is_there[static_cast<std::size_t>(number)] = true;
  }
  return segment;
}

std::optional<int> ask(const RankInfo& ranks, const Address& address, double seconds) {
  const Socket socket = make_socket();
  if (::connect(socket.get(), address.get(), address.length) != 0) return std::nullopt;
  if (!is_of_this_user(socket)) return std::nullopt;
  const std::int32_t number = ranks.rank;
  if (::send(socket.get(), &number, sizeof number, MSG_NOSIGNAL) != sizeof number) {
    return std::nullopt;
  }
  if (!is_readable_within(socket, seconds)) return std::nullopt;
  return receive_descriptor(socket);
}

RankSegment ask_for_it(const RankInfo& ranks, const Address& address, double join_seconds) {
  const Stopwatch watch;
  while (watch.seconds() < join_seconds) {
    const double left = join_seconds - watch.seconds();
    if (const auto descriptor = ask(ranks, address, left)) {
      return RankSegment::open(*descriptor, ranks.count);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  throw RankError(fmt::format(
      "rank 0 did not join within {} s; look at its messages, or at whether all ranks run on this "
      "machine with the same environment",
      join_seconds));
}

}  // namespace

RankSegment meet_ranks(const RankInfo& ranks, std::string_view run_token, double join_seconds) {
  const Address address(run_token);
  return ranks.rank == 0 ? hand_out(ranks, address, join_seconds)
                         : ask_for_it(ranks, address, join_seconds);
}

}  // namespace ovid::distributed
