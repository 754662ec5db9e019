#include "src/prompts/review_prompt.h"

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::prompts {
namespace {

using tokenizer::ControlKind;
using tokenizer::Tokenizer;

Tokenizer with_words() {
  tokenizer::Vocabulary vocabulary = tokenizer::byte_vocabulary();
  add_tokens(vocabulary, {stars_word(1), stars_word(5), category_word("Fashion")});
  return Tokenizer(std::move(vocabulary));
}

}  // namespace

TEST_CASE("a review's control words stand before its text, as text or as tokens", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes"), added = with_words();
  CHECK(bytes.decode(ReviewLayout(bytes, ControlKind::kText).prompt(5, "Fashion")) ==
        "<|endoftext|><|stars:5|> <|category:Fashion|>\n");
  const auto tokens = ReviewLayout(added, ControlKind::kTokens).prompt(5, "Fashion", "Nice");
  CHECK(added.decode(tokens) == "<|endoftext|><|stars:5|><|category:Fashion|>\nNice\n");
  CHECK(tokens.size() == 3 + 6);
  CHECK(tokens[1] == 258);
  CHECK(tokens[2] == 259);
  CHECK(bytes.decode(ReviewLayout(bytes, ControlKind::kNone).prompt(5, "Fashion", "Nice")) ==
        "<|endoftext|>\nNice\n");
}

TEST_CASE("a control word may be left out, and one that is no token is refused", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes"), added = with_words();
  const ReviewLayout text(bytes, ControlKind::kText), tokens(added, ControlKind::kTokens);
  CHECK(bytes.decode(text.control(1, "")) == "<|stars:1|>");
  CHECK(bytes.decode(text.control(0, "Fashion")) == "<|category:Fashion|>");
  CHECK(text.control(0, "").empty());
  CHECK(tokens.control(0, "").empty());
  CHECK_THROWS_AS(tokens.control(2, "Fashion"), DataError);
}

TEST_CASE("the document of a review goes on from its prompt", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes");
  const ReviewLayout layout(bytes, ControlKind::kText);
  tokenizer::EncodeCache cache;
  const auto document = layout.document(layout.control(2, "Software"),
                                        ReviewLayout::text("Bad", "It broke.\nTwice."), cache);
  CHECK(bytes.decode(document) ==
        "<|endoftext|><|stars:2|> <|category:Software|>\nBad\nIt broke.\nTwice.");
  for (const char* headline : {"", "Bad"}) {
    const auto prompt = layout.prompt(2, "Software", headline);
    CHECK(std::equal(prompt.begin(), prompt.end(), document.begin()));
  }
}

TEST_CASE("the categories that a model knows are read from its control words", "[prompts]") {
  const tokenizer::ControlWords control{
      .kind = ControlKind::kText,
      .task = kReviewTask,
      .words = {stars_word(1), category_word("Fashion"), category_word("Home & Kitchen")}};
  CHECK((categories_of(control) == std::vector<std::string>{"Fashion", "Home & Kitchen"}));
}

}  // namespace ovid::prompts
