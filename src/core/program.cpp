#include "src/core/program.h"

#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "src/core/log.h"

namespace ovid {

ExitCode run_guarded(const std::function<ExitCode()>& body) {
  try {
    return body();
  } catch (const Error& e) {
    log::error(e.what());
    return e.exit_code();
  } catch (const std::bad_alloc&) {
    log::error("not enough memory: free some, or choose a smaller model or batch");
    return ExitCode::kResources;
  } catch (const std::filesystem::filesystem_error& e) {
    log::error(e.what());
    return ExitCode::kResources;
  } catch (const std::exception& e) {
    log::error(
        std::string("this is a bug of Ovid, please report it with the command and its config: ") +
        e.what());
    return ExitCode::kBug;
  }
}

}  // namespace ovid
