#pragma once
// Ranks of NCCL as processes of their own.

#include <nccl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/catch.h"

namespace ptx_emulator::test {

// Catch2's assertions belong to the parent; a child says what is wrong and counts it.
struct Rank {
  int rank = 0;
  int num_ranks = 0;
  ncclUniqueId id{};
  ncclComm_t comm = nullptr;
  int failures = 0;

  void expect(bool condition, const std::string& what) {
    if (condition) return;
    if (++failures <= 5) std::fprintf(stderr, "rank %d: %s\n", rank, what.c_str());
  }
  void ok(ncclResult_t result, const char* what) {
    expect(result == ncclSuccess, std::string(what) + ": " + ncclGetErrorString(result) + " (" +
                                      ncclGetLastError(comm) + ")");
  }
  void connect() { ok(ncclCommInitRank(&comm, num_ranks, id, rank), "ncclCommInitRank"); }
};

using Body = std::function<void(Rank&)>;

// Runs the body once per rank, each in a process of its own; the number of those that did not end
// well.
inline int run_ranks(int num_ranks, const Body& body) {
  Rank rank;
  rank.num_ranks = num_ranks;
  REQUIRE(ncclGetUniqueId(&rank.id) == ncclSuccess);
  std::fflush(nullptr);
  std::vector<pid_t> children;
  for (rank.rank = 0; rank.rank < num_ranks; ++rank.rank) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      body(rank);
      _exit(rank.failures == 0 ? 0 : 1);
    }
    children.push_back(child);
  }
  int bad = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    const bool killed_on_purpose = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (status != 0 && !killed_on_purpose) ++bad;
  }
  return bad;
}

}  // namespace ptx_emulator::test
