#include <unistd.h>

#include <cstdlib>

#include "src/cli/commands.h"
#include "src/cli/standard_output.h"
#include "src/diagnosis/doctor.h"

namespace ovid::cli {

ExitCode run_doctor(const DoctorOptions& options) {
  const diagnosis::Findings findings = diagnosis::examine(options.directory);
  if (options.json) {
    print_line(diagnosis::to_json(findings));
  } else {
    const char* no_colour = std::getenv("NO_COLOR");
    const bool colour =
        ::isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
    print(diagnosis::to_text(findings, colour));
  }
  return diagnosis::none_bad(findings) ? ExitCode::kDone : ExitCode::kResources;
}

}  // namespace ovid::cli
