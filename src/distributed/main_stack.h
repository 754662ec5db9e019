#pragma once

#include <pthread.h>

#include <string>
#include <vector>

namespace ovid::distributed {

// The call stack of one thread, taken by another: best effort, for a process that is about to end.
// The thread is interrupted by a real-time signal whose handler notes return addresses; where it
// does not answer within a second there is no stack. One object a process at a time.
class MainStack {
 public:
  MainStack();  // of the calling thread
  ~MainStack();
  MainStack(const MainStack&) = delete;
  MainStack& operator=(const MainStack&) = delete;

  // "PROGRAM(function+0x1f) [0x...]", innermost first; addr2line -e PROGRAM turns offsets of
  // nameless functions into lines. Empty where the thread did not answer.
  std::vector<std::string> take() const;

 private:
  pthread_t thread_;
};

}  // namespace ovid::distributed
