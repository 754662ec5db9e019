#pragma once

#include <string>

#include "src/evaluation/review_control.h"
#include "src/evaluation/review_scores.h"
#include "src/evaluation/task_report.h"

// The figures about reviews as tables, sentences and JSON.
namespace ovid::evaluation {

// Each adds its table, notes and samples to `report` and returns its part of the JSON object.
std::string report_perplexity(const ReviewPerplexity& perplexity, TaskReport& report);
std::string report_control(const ReviewControl& control, TaskReport& report);

}  // namespace ovid::evaluation
