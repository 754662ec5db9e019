#include "data_tools/openwebtext/web_record.h"

#include "data_tools/openwebtext/token_spool.h"
#include "src/core/error.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::data_tools::openwebtext {

TEST_CASE("records of all layouts give text and address", "[data_tools]") {
  struct Case {
    const char* json;
    const char* text;
    const char* url;
  };
  const Case cases[] = {
      {R"({"text": "a"})", "a", ""},
      {R"({"text": "a", "url": "http://x"})", "a", "http://x"},
      {R"({"text": "a", "meta": {"title": "t", "url": "http://x"}})", "a", "http://x"},
      {R"({"content": "a", "warc_headers": {"WARC-Target-URI": "http://x"}})", "a", "http://x"},
      {R"({"content": "a", "warc_headers": {"warc-target-uri": "http://x"}})", "a", "http://x"},
      {R"({"raw_content": "a", "source_url": "http://x", "metadata": {}})", "a", "http://x"},
      {R"({"text": "a", "url": 5, "meta": "none"})", "a", ""},
  };
  WebRecordParser parser("");
  for (const Case& c : cases) {
    INFO(c.json);
    std::string wrong;
    const auto record = parser.parse(c.json, wrong);
    REQUIRE(record);
    CHECK(record->text == c.text);
    CHECK(record->url == c.url);
  }
  std::string wrong;
  CHECK_FALSE(WebRecordParser("body").parse(R"({"text": "a"})", wrong));
  CHECK(wrong == "no text in the field \"body\"");
  CHECK(WebRecordParser("body").parse("{\"body\": \"a\xff\"}", wrong)->text == "a\xef\xbf\xbd");
  CHECK(all_strings(R"({"q": "who", "a": ["x", {"b": "y"}], "n": 1})") == "who\nx\ny\n");
}

TEST_CASE("a spool goes on from a state and refuses damage", "[data_tools]") {
  const test::TemporaryDirectory folder;
  const std::vector<std::uint16_t> tokens{1, 2, 3};
  TokenSpoolState state;
  {
    TokenSpool spool(folder.path(), {});
    spool.add({.name = "odd", .text_bytes = 5, .tokens = tokens});
    spool.sync();
    state = spool.state();
    spool.add({.name = "lost", .text_bytes = 6, .tokens = tokens});
    spool.sync();
  }
  TokenSpool spool(folder.path(), state);
  spool.add({.name = "even", .text_bytes = 7, .overlap_ngrams = 4, .overlap_found = 1});
  spool.sync();
  const SpooledTokens read(folder.path(), spool.state());
  std::vector<std::string> names;
  read.for_each([&](std::uint64_t, const SpooledDocument& document, std::uint64_t) {
    names.emplace_back(document.name);
  });
  CHECK((names == std::vector<std::string>{"odd", "even"}));
  CHECK(read.document(0).tokens[2] == 3);
  CHECK(read.document(1).overlap_ngrams == 4);
  CHECK_THROWS_AS(SpooledTokens(folder.path(), {.documents = 3, .bytes = 1}), DataError);
  CHECK_THROWS_AS(TokenSpool(folder.path(), {.documents = 1, .bytes = 1 << 20}), DataError);
}

}  // namespace ovid::data_tools::openwebtext
