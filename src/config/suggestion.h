#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ovid::config {

// Insertions, deletions, replacements and swaps of neighbours that turn a into b, where no part is
// edited twice. Source: Damerau 1964, in the form known as optimal string alignment.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, at most max(1, length / 3) edits away; the first of equals.
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

// What somebody may have meant who wrote the unknown key `name` in `section` ("" at the top level),
// as a sentence: "did you mean `...`?" or "`...` lives in `...`". Empty where nothing is near.
std::string suggest_key(std::string_view section, std::string_view name);

}  // namespace ovid::config
