#pragma once

namespace ovid::cli {

// For work that has no end of its own: from construction on the first SIGINT or SIGTERM only asks
// it to stop, and a second one ends the process. One at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();  // the signals end the process again
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  bool arrived() const;
};

}  // namespace ovid::cli
