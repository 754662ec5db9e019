#pragma once

#include "src/evaluation/task.h"

namespace ovid::evaluation {

// The task amazon-reviews: perplexity of held-out reviews for each star and category, behind their
// own control words, wrong ones and none; and whether reviews written to order read like the stars
// that were asked for. See Task::run.
TaskReport evaluate_amazon_reviews(const TaskRun& run);

}  // namespace ovid::evaluation
