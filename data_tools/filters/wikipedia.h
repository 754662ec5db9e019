#pragma once

#include <string_view>

#include "data_tools/filters/verdict.h"

namespace ovid::data_tools::filters {

// Whether the address is one of Wikipedia, of its sister projects, or of a known mirror of its
// articles. Pure.
bool is_wikipedia_url(std::string_view url);

// How many different signs of a Wikipedia article the text bears ("From Wikipedia, the free
// encyclopedia", "[edit]" behind headings, "This article needs additional citations", reference
// marks "[12]", closing sections "See also" and "External links" ...), each weighed: 1 and more is
// enough to tell.
double wikipedia_signs(std::string_view text);

// WebText left out all of Wikipedia, since evaluation sets come from there (GPT-2 paper, section
// 2.1). Drops by `url` where it is known (not empty; figure 1), else by the signs (figure: their
// weight, limit 1). Pure.
Verdict wikipedia_verdict(std::string_view text, std::string_view url = {});

}  // namespace ovid::data_tools::filters
