#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Figures about texts that take no model. docs/guides/reports.md has them in words.
namespace ovid::evaluation {

using Words = std::vector<std::string>;

// Words as ParlAI compares them: lower case, each mark of ASCII punctuation a blank, the articles
// a, an, the left out, parted at white space. Case and white space are those of ASCII. Source:
// Miller et al. 2017, ParlAI (normalize_answer).
Words normalised_words(std::string_view text);

// Lower case (ASCII), parted at white space; punctuation stays. What distinct-n and repetition
// count.
Words spaced_words(std::string_view text);

// Harmonic mean of the shares of `text`'s and of `reference`'s words that the other has too, each
// occurrence matched once; 0 where nothing matches, so also where either is empty. Both as
// normalised_words gives them.
double word_f1(const Words& text, const Words& reference);

// The n-grams of all texts together, none across two texts.
struct NgramCounts {
  std::int64_t distinct = 0, all = 0;
  double share() const;  // distinct-n; 0 where there is none
};
// `n` of 1 and above. Source of distinct-n: Li et al. 2016, "A diversity-promoting objective
// function".
NgramCounts count_ngrams(std::span<const Words> texts, std::size_t n);

// Mean over the texts with an n-gram of the share of n-grams that stood before in the same text
// (seq-rep-n of Welleck et al. 2020); 0 where no text has one.
double repeated_ngrams(std::span<const Words> texts, std::size_t n);

// The share of texts that are word for word the same as an earlier one.
double repeated_texts(std::span<const Words> texts);

}  // namespace ovid::evaluation
