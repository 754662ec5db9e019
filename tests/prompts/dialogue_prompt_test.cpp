#include "src/prompts/dialogue_prompt.h"

#include "src/core/error.h"
#include "tests/catch.h"

namespace ovid::prompts {
namespace {

using Catch::Matchers::Contains;
using tokenizer::ControlKind;
using tokenizer::Tokenizer;

const DialogueContext kContext{
    .persona = {"i like tea.", "i ski."},
    .utterances = {{false, "hello"}, {true, "hi ."}, {true, ""}, {false, "tea ?"}}};

constexpr const char* kText =
    "<|persona|> i like tea.\n<|persona|> i ski.\n<|partner|> hello\n<|self|> hi .\n"
    "<|partner|> tea ?\n<|self|>";

}  // namespace

TEST_CASE("a dialogue is laid out in lines, and silence has none", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes");
  const DialogueLayout layout(bytes, ControlKind::kText);
  CHECK(layout.context_text(kContext) == kText);
  CHECK(bytes.decode(layout.context(kContext)) == std::string("<|endoftext|>") + kText);
  CHECK(bytes.decode(layout.reply("yes")) == " yes\n");
}

TEST_CASE("control words that are tokens take one place each", "[prompts]") {
  tokenizer::Vocabulary vocabulary = tokenizer::byte_vocabulary();
  add_tokens(vocabulary, {"<|persona|>", "<|partner|>", "<|self|>"});
  const Tokenizer added(std::move(vocabulary));
  const auto tokens = DialogueLayout(added, ControlKind::kTokens).context(kContext);
  CHECK(tokens.at(1) == 257);
  CHECK(tokens.back() == 259);
  CHECK(added.decode(tokens) == std::string("<|endoftext|>") + kText);
  const Tokenizer bytes = Tokenizer::load("bytes");
  CHECK_THROWS_WITH(DialogueLayout(bytes, ControlKind::kTokens), Contains("no added token"));
}

TEST_CASE("a word that is empty leaves the text alone on its line", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes");
  const DialogueLayout layout(bytes, ControlKind::kText, {"", "A:", "B:"});
  CHECK(layout.context_text({.persona = {"Two friends."}, .utterances = {{false, "Hi"}}}) ==
        "Two friends.\nA: Hi\nB:");
}

TEST_CASE("what does not fit is left out: old utterances first, then traits", "[prompts]") {
  const Tokenizer bytes = Tokenizer::load("bytes");
  const DialogueLayout layout(bytes, ControlKind::kText);
  const std::size_t whole = layout.context(kContext).size();
  CHECK_FALSE(layout.fit(kContext, whole + 10, 10).trimmed());
  CHECK((layout.fit(kContext, whole + 10, 10).tokens == layout.context(kContext)));

  const FittedContext one = layout.fit(kContext, whole + 9, 10);
  CHECK(one.dropped_utterances == 1);
  CHECK(one.dropped_traits == 0);
  CHECK(one.tokens.size() + 10 <= whole + 9);
  CHECK_THAT(bytes.decode(one.tokens), Contains("i ski.\n<|self|> hi .") && !Contains("hello"));

  const FittedContext tiny = layout.fit(kContext, 40, 5);
  CHECK(tiny.dropped_utterances == 4);
  CHECK(tiny.dropped_traits == 1);
  CHECK(tiny.tokens.size() <= 35);
  CHECK_THROWS_AS(layout.fit(kContext, 12, 5), DataError);
}

TEST_CASE("the text of a context is read back, and another is refused", "[prompts]") {
  const DialogueContext read = parse_context(kText);
  CHECK(read.persona == kContext.persona);
  REQUIRE(read.utterances.size() == 3);
  CHECK(read.utterances[1].self);
  CHECK(read.utterances[2].text == "tea ?");
  for (const char* bad : {"", "<|self|> hi", "<|persona|>no space\n<|self|>", "x\n<|self|>"})
    CHECK_THROWS_AS(parse_context(bad), DataError);
}

}  // namespace ovid::prompts
