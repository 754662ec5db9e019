#include "data_tools/filters/quality.h"

#include <string>

#include "data_tools/filters/domain.h"
#include "data_tools/filters/repetition.h"
#include "data_tools/filters/wikipedia.h"
#include "src/core/error.h"
#include "src/core/file.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::data_tools::filters {

namespace {

// Prose of the given number of words, no two runs of two words alike.
std::string prose(int words) {
  std::string text = "to be with that";
  for (int i = 4; i < words; ++i) text += " word" + std::to_string(i);
  return text;
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

std::string_view reason_of(const Verdict& verdict) {
  return verdict ? name_of(verdict->reason) : "kept";
}

}  // namespace

TEST_CASE("each rule of quality drops what breaks it alone, and says the figure", "[data_tools]") {
  CHECK(reason_of(quality_verdict(prose(200))) == "kept");
  CHECK(reason_of(quality_verdict(" \n ")) == "empty");
  CHECK(reason_of(quality_verdict(prose(50))) == "kept");
  const Verdict few = quality_verdict(prose(49));
  CHECK(reason_of(few) == "too_few_words");
  CHECK(few->figure == 49);
  CHECK(few->limit == 50);
  CHECK(reason_of(quality_verdict(prose(100), {.max_words = 99})) == "too_many_words");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" ab", 900))) == "mean_word_length");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" abcdefghijklmnopqrst", 100))) ==
        "mean_word_length");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" #tag", 12))) == "symbols");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" wait...", 12))) == "symbols");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" wait\xe2\x80\xa6", 12))) == "symbols");
  CHECK(reason_of(quality_verdict(prose(100) + repeated("\n\xe2\x80\xa2 a point here", 10))) ==
        "bullet_lines");
  CHECK(reason_of(quality_verdict(prose(200) + "\n" + repeated("it goes on and on...\n", 3) +
                                  "the end")) == "ellipsis_lines");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" 12345", 30))) == "words_without_letters");
  CHECK(reason_of(quality_verdict(repeated("word other thing ", 50))) == "few_stop_words");
  CHECK(reason_of(quality_verdict(repeated("word The, \"OF\" ", 50))) == "kept");
  CHECK(reason_of(quality_verdict(prose(100) + " Lorem ipsum dolor")) == "lorem_ipsum");
  CHECK(reason_of(quality_verdict(prose(100) + repeated(" {x}", 2))) == "curly_brackets");
  CHECK(reason_of(quality_verdict(prose(10), {.min_words = 0})) == "kept");
}

TEST_CASE("repetition is measured in lines, in the commonest n-gram and in repeated n-grams",
          "[data_tools]") {
  const RepetitionFigures none = measure_repetition(prose(300));
  CHECK(none.duplicate_lines == 0);
  CHECK(none.top_ngram[0] == 0);
  CHECK(none.repeated_ngrams[0] == 0);
  CHECK(measure_repetition("").duplicate_lines == 0);

  // Lines "aa", "bb", "aa", "aa": two of four repeat, and so do half of the bytes.
  const RepetitionFigures lines = measure_repetition("aa\nbb\n\naa\naa");
  CHECK(lines.duplicate_lines == 0.5);
  CHECK(lines.duplicate_line_characters == 0.5);
  // "x y" three times among twelve words of one letter: six of twelve bytes.
  const RepetitionFigures top = measure_repetition("x y a x y b x y c d e f");
  CHECK(top.top_ngram[0] == 0.5);
  CHECK(top.top_ngram[1] == 0);
  // Ten words twice: the second ten are repeated, whatever n-grams cover them.
  const RepetitionFigures twice = measure_repetition("a b c d e f g h i j a b c d e f g h i j");
  for (const double share : twice.repeated_ngrams) CHECK(share == 0.5);
  // Of nine words twice no run of ten comes twice.
  const RepetitionFigures nine = measure_repetition("a b c d e f g h i j k a b c d e f g h i");
  CHECK(nine.repeated_ngrams[4] == 9.0 / 20);
  CHECK(nine.repeated_ngrams[5] == 0);

  CHECK(reason_of(repetition_verdict(prose(300))) == "kept");
  CHECK(reason_of(repetition_verdict("aa\nbb\naa\naa")) == "duplicate_lines");
  CHECK(reason_of(repetition_verdict(prose(100) + repeated("\n" + prose(40), 2) + "\na\nb\nc")) ==
        "duplicate_line_characters");
  CHECK(reason_of(repetition_verdict(repeated("buy now ", 100))) == "top_ngram");
  CHECK(reason_of(repetition_verdict(prose(30) + " " + prose(30) + " tail")) == "repeated_ngrams");
}

TEST_CASE("repeated n-grams are those that comparing all pairs finds", "[data_tools]") {
  std::uint64_t state = 7;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> words;
    std::string text;
    for (int i = 0; i < 60; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      words.push_back(
          std::string(1 + (state >> 60) % 2, static_cast<char>('a' + (state >> 58) % 2)));
      text += words.back() + " ";
    }
    const RepetitionFigures figures = measure_repetition(text);
    for (std::size_t n = 5; n <= 10; ++n) {
      std::vector<bool> covered(words.size());
      for (std::size_t i = 0; i + n <= words.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (!std::equal(words.begin() + i, words.begin() + i + n, words.begin() + j)) continue;
          for (std::size_t k = i; k < i + n; ++k) covered[k] = true;
          break;
        }
      }
      double bytes = 0;
      double all = 0;
      for (std::size_t i = 0; i < words.size(); ++i) {
        all += static_cast<double>(words[i].size());
        if (covered[i]) bytes += static_cast<double>(words[i].size());
      }
      REQUIRE(figures.repeated_ngrams[n - 5] == Approx(bytes / all));
    }
  }
}

TEST_CASE("Wikipedia is told by its address, or by several signs of its pages", "[data_tools]") {
  CHECK(is_wikipedia_url("https://en.wikipedia.org/wiki/Ovid"));
  CHECK(is_wikipedia_url("http://user@EN.M.WIKIPEDIA.ORG:80/wiki/Ovid?x#y"));
  CHECK(is_wikipedia_url("wikipedia.org"));
  CHECK(is_wikipedia_url("https://www.wikiwand.com/en/Ovid"));
  CHECK_FALSE(is_wikipedia_url("https://notwikipedia.org/"));
  CHECK_FALSE(is_wikipedia_url("https://example.com/wikipedia.org"));
  CHECK_FALSE(is_wikipedia_url("https://example.com/?u=https://en.wikipedia.org"));
  CHECK_FALSE(is_wikipedia_url(""));

  CHECK(reason_of(wikipedia_verdict("short", "https://de.wikipedia.org/wiki/Ovid")) == "wikipedia");
  CHECK(reason_of(wikipedia_verdict("Ovid\nFrom Wikipedia, the free encyclopedia\nPublius")) ==
        "wikipedia");
  CHECK(reason_of(wikipedia_verdict("Ovid\nLife [edit]\nBorn\nWorks[edit]\nMany")) == "wikipedia");
  CHECK(reason_of(wikipedia_verdict("Text\nSee also\nA\nReferences\nB\nExternal links\nC"
                                    "\nFurther reading\nD\nNotes")) == "wikipedia");
  CHECK(reason_of(wikipedia_verdict(
            " = Ovid = \n text \n = = Life = = \n x \n = = Works = = \n")) == "wikipedia");
  // What an article of another kind may have.
  CHECK(reason_of(wikipedia_verdict("As Wikipedia says, the claim [1] is old.\nReferences\n[2] [3] "
                                    "[4] [5]")) == "kept");
  CHECK(reason_of(wikipedia_verdict("I had an edit [edit] in the middle. See also the notes.")) ==
        "kept");
  CHECK(reason_of(wikipedia_verdict("")) == "kept");
}

TEST_CASE("hosts and domains are cut out of addresses as OpenAI's list has them", "[data_tools]") {
  CHECK(host_of("HTTPS://User:Pass@News.BBC.co.uk:8080/a@b?c#d") == "news.bbc.co.uk");
  CHECK(host_of("//example.org.") == "example.org");
  CHECK(host_of("example.org/http://other.com") == "example.org");
  CHECK(host_of("http://[::1]:80/a") == "[::1]");
  CHECK(host_of("[") == "[");
  CHECK(host_of("") == "");
  CHECK(domain_name("news.bbc.co.uk") == "bbc");
  CHECK(domain_name("co.uk") == "co");
  CHECK(domain_name("a.blogspot.com") == "blogspot");
  CHECK(domain_name("github.com") == "github");
  CHECK(domain_name("localhost") == "localhost");
  CHECK(domain_name("192.168.0.1") == "192.168.0.1");
  CHECK(domain_name("") == "");
  CHECK_THROWS_AS(DomainList("5 a\nb\n"), DataError);
  CHECK_THROWS_AS(DomainList("99999999999999999999999 a\n"), DataError);
  CHECK(DomainList("5 a\r\n\n7 b\n2 a").documents_of("a") == 7);

  const auto path = test::shared_data("text/gpt-2-domains.txt");
  if (!path) return;
  const DomainList list(read_file(*path));
  CHECK(list.size() == 1000);
  CHECK(list.documents_of("google") == 1542261);
  CHECK(list.documents_of(domain_name(host_of("https://www.nytimes.com/2016/"))) == 333160);
  CHECK(list.documents_of("no such domain") == 0);
}

}  // namespace ovid::data_tools::filters
