#pragma once

#include <string>

#include "src/report/run_summary.h"

// The parts of report.html, each as HTML; "" where there is nothing to show.
namespace ovid::report {

std::string header_html(const Run& run);
std::string charts_html(const Run& run);  // loss; learning rate, gradient norm, speed
std::string samples_html(const Run& run);
std::string events_html(const Run& run);
std::string continue_html(const Run& run);
std::string config_html(const Run& run);
std::string environment_html(const Run& run);

}  // namespace ovid::report
