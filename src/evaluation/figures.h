#pragma once

#include <string>

#include "src/evaluation/interval.h"

// Figures as the reports of tasks show them.
namespace ovid::evaluation {

std::string shown(double value, int decimals);       // "-" where it is not finite
std::string shown_percent(double share);             // "84.5 %"
std::string shown_percent(const Interval& share);    // "79.1 to 88.9 %"
std::string shown_perplexity(double nats);           // of a mean loss; four digits
std::string shown_perplexity(const Interval& nats);  // "41.20 to 44.87"

}  // namespace ovid::evaluation
