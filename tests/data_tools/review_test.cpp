#include "data_tools/review.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <set>

#include "data_tools/bad_lines.h"
#include "data_tools/dataset_files.h"
#include "data_tools/python_literal.h"
#include "data_tools/review_counts.h"
#include "data_tools/text_set.h"
#include "src/core/error.h"
#include "tests/catch.h"

// The filters of ovid-data amazon-reviews, one by one.
namespace ovid::data_tools {

TEST_CASE("a review's text loses its HTML and keeps its paragraphs", "[data_tools]") {
  CHECK(clean_review_text("one<br />two<BR>three<br/><br />four") == "one\ntwo\nthree\n\nfour");
  CHECK(clean_review_text("  6&#34; &amp; 5 &lt; 6 &#x41;&nbsp;b ") == "6\" & 5 < 6 A b");
  CHECK(clean_review_text("a\t b\r\nc\rd\x01\x7f") == "a b\nc\nd");
  CHECK(clean_review_text("a \n\n\n\n b") == "a\n\nb");
  // What only looks like a tag or a reference stays.
  CHECK(clean_review_text("<bro> &; &#; &#0; &#xD800; &#1114112; &unknown; & <br") ==
        "<bro> &; &#; &#0; &#xD800; &#1114112; &unknown; & <br");
  CHECK(clean_review_text("\xc3\xa9&#233;") == "\xc3\xa9\xc3\xa9");
  CHECK(clean_review_line("Five<br />Stars\n!") == "Five Stars !");
  CHECK(clean_review_text("").empty());
}

TEST_CASE("repeated texts are those that differ in case, spaces and punctuation", "[data_tools]") {
  const auto key = [](const char* body) {
    return repeated_text_key(
        {.stars = 5, .category = {}, .product = {}, .headline = "h", .body = body});
  };
  CHECK(key("Great product, and price!") == key("great  product\nand price"));
  CHECK(key("good") != key("goods"));
  CHECK(key("!!!") != key("???"));
  CHECK(key("\xc3\xa9") != key("\xc3\xa8"));
  CHECK(is_empty_review({.stars = 5, .category = {}, .product = {}, .headline = "h", .body = ""}));
}

TEST_CASE("a category that would break its control word is refused", "[data_tools]") {
  CHECK(clean_category(" Musical\tInstruments ").value() == "Musical Instruments");
  CHECK(clean_category("Home &amp; Kitchen").value() == "Home & Kitchen");
  for (const char* bad : {"", "  ", "a|b", "a>b", "<b"}) CHECK_FALSE(clean_category(bad));
  CHECK_FALSE(clean_category(std::string(65, 'a')));
}

TEST_CASE("a Python dict is read as Python reads it", "[data_tools]") {
  const auto dict = parse_python_dict(
      R"({'overall': 4.0, "asin": u'B0', 'helpful': [1, 2L], 'x': {'a': (None, True,), 1: 'b'},)"
      R"( 'text': 'it\'s "so" \\ \x41\u00e9\U0001F600\n', 'none': None, 'e': -1.5e2,})");
  CHECK(std::get<double>(dict.at("overall")) == 4.0);
  CHECK(std::get<double>(dict.at("e")) == -150.0);
  CHECK(std::get<std::string>(dict.at("asin")) == "B0");
  CHECK(std::get<std::string>(dict.at("text")) == "it's \"so\" \\ A\xc3\xa9\xf0\x9f\x98\x80\n");
  CHECK(dict.at("none").index() == 0);
  CHECK(dict.at("helpful").index() == 0);
  const auto text = [](const char* line) {
    return std::get<std::string>(parse_python_dict(line).at("a"));
  };
  CHECK(text(R"({'a': 'caf\xc3\xa9'})") == "caf\xc3\xa9");     // bytes of Python 2
  CHECK(text(R"({'a': 'caf\xe9'})") == "caf\xc3\xa9");         // a character of Python 3
  CHECK(text(R"({'a': u'\xc3\xa9'})") == "\xc3\x83\xc2\xa9");  // characters, as u says
  CHECK(text(R"({'a': u'\ud83d\ude00'})") == "\xf0\x9f\x98\x80");
  CHECK(text(R"({'a': '\q\101'})") == "\\qA");
  CHECK(text(R"({'a': 'b', 'a': 'c'})") == "c");
}

TEST_CASE("what is no Python dict is refused, however deep", "[data_tools]") {
  for (const char* bad :
       {"", "{", "{'a'}", "{'a': }", "{'a': 'b}", "{'a': 'b'} c", "{'a': os.remove('x')}",
        "{'a': '\\x4'}", "{'a': '\\ud800'}", "{'a': '\\U00110000'}", "{'a': '\\N{DASH}'}",
        "{1: 'a'}", "{'a': 1e999}", "{'a': [1}", "['a']", "{'a': '\\"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_python_dict(bad), PythonSyntaxError);
  }
  const std::string deep(100000, '[');
  CHECK_THROWS_AS(parse_python_dict("{'a': " + deep), PythonSyntaxError);
}

TEST_CASE("balancing takes as many of each number of stars as the rarest has", "[data_tools]") {
  ReviewCounts counts;
  std::mt19937 random(5);
  std::vector<int> stars;
  for (int i = 0; i < 3000; ++i) {
    stars.push_back(i < 40 ? 2 : i < 200 ? 1 : 5);
    counts.add(stars.back(), "c");
  }
  std::shuffle(stars.begin(), stars.end(), random);
  BalancedStars balance(counts, 7);
  CHECK(balance.of_each() == 40);
  std::array<int, 6> taken{};
  int in_first_half = 0;
  for (std::size_t i = 0; i < stars.size(); ++i) {
    if (!balance.take(stars[i])) continue;
    ++taken[static_cast<std::size_t>(stars[i])];
    in_first_half += stars[i] == 5 && i < stars.size() / 2 ? 1 : 0;
  }
  CHECK(taken == std::array<int, 6>{0, 40, 40, 0, 0, 40});
  CHECK(in_first_half > 8);  // 20 are expected, with a standard deviation of 3.2
  CHECK(in_first_half < 32);
}

TEST_CASE("keys fall to the parts in the proportions asked for", "[data_tools]") {
  std::array<int, 3> counts{};
  const PartFractions fractions{.validation = 0.1, .test = 0.2, .seed = 3};
  for (int i = 0; i < 10000; ++i) {
    const std::string key = fmt::format("B{:09}", i);
    const Part part = part_of_key(key, fractions);
    CHECK((part == part_of_key(key, fractions)));
    ++counts[static_cast<std::size_t>(part)];
  }
  CHECK(counts[1] == Approx(1000).margin(120));  // four standard deviations
  CHECK(counts[2] == Approx(2000).margin(160));
  CHECK_THROWS_AS(check_fractions({.validation = 0.6}), UsageError);
  CHECK_THROWS_AS(check_fractions({.test = -0.1}), UsageError);
}

TEST_CASE("a set of texts remembers each of many", "[data_tools]") {
  TextSet set;
  for (int i = 0; i < 20000; ++i) CHECK(set.insert(fmt::format("text {}", i)));
  for (int i = 0; i < 20000; i += 7) CHECK_FALSE(set.insert(fmt::format("text {}", i)));
  CHECK(set.insert(""));
  CHECK_FALSE(set.insert(""));
  CHECK(set.size() == 20001);
}

TEST_CASE("bad lines are told up to the limit and then an error", "[data_tools]") {
  BadLines bad(2);
  bad.add("a.json", 3, "why");
  bad.add("a.json", 4, "why");
  CHECK_THROWS_WITH(
      bad.add("a.json", 9, "because"),
      Catch::Matchers::Contains("3 bad lines") && Catch::Matchers::Contains("a.json:3: why"));
}

}  // namespace ovid::data_tools
