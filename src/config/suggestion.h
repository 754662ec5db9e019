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

// The candidate nearest to `word` in any case of its letters, at most max(1, length / 3) edits
// away; the first of equals.
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

// What somebody may have meant who wrote the unknown key `name` in `section` ("" at the top level),
// as a sentence: "did you mean `...`?" or "`...` lives in `...`". Empty where nothing is near.
std::string suggest_key(std::string_view section, std::string_view name);

// "sequences: 512" for `written` = "sequences:512" or "sequences = 512" where `sequences` is a key
// of `section` (or, at the top level, a section). Empty for what is no key and value run together.
std::string suggest_parting(std::string_view section, std::string_view written);

// What somebody may have meant who wrote `word` as the value of a key with `choices`: the nearest
// of them, or the one that other programs call by that name.
std::optional<std::string_view> suggest_choice(std::string_view word,
                                               std::span<const std::string_view> choices);

}  // namespace ovid::config
