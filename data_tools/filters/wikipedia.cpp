#include "data_tools/filters/wikipedia.h"

#include <algorithm>
#include <functional>
#include <string>

#include "data_tools/filters/domain.h"
#include "data_tools/filters/text_pieces.h"

namespace ovid::data_tools::filters {

namespace {

constexpr double kEnough = 1;

struct Sign {
  std::string_view phrase;  // lower case
  double weight;
};

// What the pages of MediaWiki and Wikipedia's own notices say.
constexpr Sign kPhrases[] = {
    {"from wikipedia, the free encyclopedia", 1},
    {"jump to navigation jump to search", 1},
    {"jump to: navigation, search", 1},
    {"retrieved from \"http://en.wikipedia.org", 1},
    {"retrieved from \"https://en.wikipedia.org", 1},
    {"retrieved from \"https://en.m.wikipedia.org", 1},
    {"this article needs additional citations for verification", 1},
    {"this article does not cite any sources", 1},
    {"you can help wikipedia by expanding it", 1},
    {"registered trademark of the wikimedia foundation", 1},
    {"available under the creative commons attribution-sharealike license", 0.7},
    {"this disambiguation page lists", 1},
    {"learn how and when to remove this template message", 1},
    {"[citation needed]", 0.4},
};

// Headings of an article's end, each alone on its line.
constexpr Sign kHeadings[] = {
    {"see also", 0.3}, {"references", 0.2}, {"external links", 0.3}, {"further reading", 0.15},
    {"notes", 0.1},    {"contents", 0.1},   {"bibliography", 0.1},
};
constexpr double kEditMark = 0.5;  // "[edit]" at the end of a line; two are enough
constexpr double kWikiHeading =
    0.35;  // "== History ==", also spaced as in WikiText; three are enough
constexpr double kReferenceMarks = 0.3;  // at least kFewestReferences of "[7]"
constexpr std::size_t kFewestReferences = 5;

constexpr std::string_view kHosts[] = {
    "wikipedia.org",  "wikimedia.org",    "wiktionary.org", "wikiquote.org",
    "wikibooks.org",  "wikisource.org",   "wikinews.org",   "wikiversity.org",
    "wikivoyage.org", "wikidata.org",     "mediawiki.org",  "wikiwand.com",
    "dbpedia.org",    "infogalactic.com", "wikizero.com",   "en.academic.ru",
};

bool contains(const std::string& text, std::string_view phrase) {
  // Long phrases: the search steps over most of the text.
  const std::boyer_moore_horspool_searcher searcher(phrase.begin(), phrase.end());
  return std::search(text.begin(), text.end(), searcher) != text.end();
}

std::string_view trimmed(std::string_view line) {
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const std::size_t end = line.find_last_not_of(' ') + 1;
  return begin < end ? line.substr(begin, end - begin) : std::string_view();
}

// "= Title =", "== History ==", "= = History = =".
bool is_wiki_heading(std::string_view line) {
  return line.size() >= 5 && line.size() <= 100 && line.front() == '=' && line.back() == '=' &&
         line.find_first_not_of("= ") != std::string_view::npos &&
         (line[1] == '=' || line[1] == ' ');
}

std::size_t count_references(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = text.find('['); i != std::string_view::npos; i = text.find('[', i + 1)) {
    std::size_t digits = 0;
    while (i + 1 + digits < text.size() && text[i + 1 + digits] >= '0' &&
           text[i + 1 + digits] <= '9') {
      ++digits;
    }
    const std::size_t end = i + 1 + digits;
    if (digits >= 1 && digits <= 3 && end < text.size() && text[end] == ']') ++count;
  }
  return count;
}

}  // namespace

bool is_wikipedia_url(std::string_view url) {
  const std::string host = host_of(url);
  return std::any_of(std::begin(kHosts), std::end(kHosts), [&](std::string_view known) {
    return host.size() >= known.size() && host.ends_with(known) &&
           (host.size() == known.size() || host[host.size() - known.size() - 1] == '.');
  });
}

double wikipedia_signs(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  double weight = 0;
  for (const Sign& sign : kPhrases) weight += contains(lower, sign.phrase) ? sign.weight : 0;
  unsigned headings = 0;  // one bit each
  for_each_line(lower, [&](std::string_view whole) {
    std::string_view line = trimmed(whole);
    constexpr std::string_view kEdit = "[edit]";
    if (line.ends_with(kEdit)) {
      weight += kEditMark;
      line = trimmed(line.substr(0, line.size() - kEdit.size()));
    }
    if (is_wiki_heading(line)) weight += kWikiHeading;
    for (std::size_t i = 0; i < std::size(kHeadings); ++i) {
      if (line == kHeadings[i].phrase) headings |= 1u << i;
    }
  });
  for (std::size_t i = 0; i < std::size(kHeadings); ++i) {
    weight += (headings >> i & 1u) != 0 ? kHeadings[i].weight : 0;
  }
  if (count_references(text) >= kFewestReferences) weight += kReferenceMarks;
  return weight;
}

Verdict wikipedia_verdict(std::string_view text, std::string_view url) {
  if (!url.empty() && is_wikipedia_url(url)) return Drop{Reason::kWikipedia, 1, kEnough};
  const double weight = wikipedia_signs(text);
  if (weight < kEnough - 1e-9) return std::nullopt;  // sums of tenths fall short of 1 by a rounding
  return Drop{Reason::kWikipedia, weight, kEnough};
}

}  // namespace ovid::data_tools::filters
