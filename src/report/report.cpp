#include "src/report/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "src/core/error.h"
#include "src/core/version.h"
#include "src/report/html.h"
#include "src/report/page_sections.h"
#include "src/report/report_style.h"

namespace ovid::report {
namespace {

// At once for readers, but with no wait for the disk: the page can be made again, and a training
// run must not stand still for it.
void replace_without_sync(const Path& path, const std::string& text) {
  Path temporary = path;
  temporary += fmt::format(".tmp-{}", ::getpid());
  std::error_code error;
  try {
    OutputFile file(temporary, WriteMode::kTruncate);
    file.write(text);
    file.close();
    std::filesystem::rename(temporary, path, error);
    if (error) {
      throw ResourceError(fmt::format("cannot rename to {}: {}; choose a folder that you may write",
                                      path.string(), error.message()));
    }
  } catch (...) {
    std::filesystem::remove(temporary, error);
    throw;
  }
}

}  // namespace

void write_report(const Path& run_directory, std::optional<RunStatus> status) {
  Run run = read_run(run_directory);
  if (status) run.summary.status = *status;
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>{} \xc2\xb7 Ovid</title><style>{}</style></head><body><main>\n",
      escaped(run.summary.name), kStyle);
  page += header_html(run);
  page += charts_html(run);
  page += samples_html(run);
  page += events_html(run);
  page += continue_html(run);
  page += config_html(run);
  page += environment_html(run);
  page += fmt::format("<footer>Ovid {} \xc2\xb7 {} on disk</footer></main></body></html>\n",
                      kVersion, readable_bytes(run.summary.bytes));
  replace_without_sync(run_directory / "report.html", page);
}

}  // namespace ovid::report
