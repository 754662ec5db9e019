#include "data_tools/dialogue.h"

#include <algorithm>

#include "data_tools/dialogue_documents.h"
#include "tests/catch.h"

// The filters of ovid-data persona-chat and the layout of a document.
namespace ovid::data_tools {
namespace {

using prompts::clean_utterance;

const Dialogue kDialogue{
    .persona = {"i like tea."}, .turns = {{"hello", "hi .", {}}, {"tea ?", "yes", {}}}, .part = {}};

std::string spelled(const tokenizer::Tokenizer& tokenizer,
                    const std::vector<std::uint16_t>& tokens) {
  return tokenizer.decode(std::vector<tokenizer::TokenId>(tokens.begin(), tokens.end()));
}

// What the tokens that count spell.
std::string counted(const tokenizer::Tokenizer& tokenizer, const MaskedDocument& document) {
  std::vector<std::uint16_t> tokens;
  for (std::size_t i = 0; i < document.tokens.size(); ++i) {
    if (document.mask.at(i) == 1) tokens.push_back(document.tokens[i]);
  }
  return spelled(tokenizer, tokens);
}

}  // namespace

TEST_CASE("an utterance becomes one line, and silence none", "[data_tools]") {
  CHECK(clean_utterance("  hi ,\t how\r\n are\x01 you ? ") == "hi , how are you ?");
  CHECK(clean_utterance("__SILENCE__").empty());
  CHECK(clean_utterance("__ SILENCE __").empty());
}

TEST_CASE("a file's or key's name says its part", "[data_tools]") {
  CHECK((part_of_name("train_self_original.txt") == Part::kTrain));
  CHECK((part_of_name("valid") == Part::kValidation));
  CHECK((part_of_name("dev.txt") == Part::kValidation));
  CHECK((part_of_name("test.txt") == Part::kTest));
  CHECK_FALSE(part_of_name("dialogues.txt"));
}

TEST_CASE("both sides of a conversation have the same key", "[data_tools]") {
  const Dialogue other{.persona = {"i am new."},
                       .turns = {{"", "hello", {}}, {"hi .", "tea ?", {}}, {"yes", "bye", {}}},
                       .part = {}};
  CHECK(conversation_key(kDialogue) == conversation_key(other));
  CHECK(repeated_dialogue_key(kDialogue) != repeated_dialogue_key(other));
}

TEST_CASE("in a whole dialogue exactly the replies count", "[data_tools]") {
  const auto tokenizer = tokenizer::Tokenizer::load("bytes");
  DialogueDocuments layout(tokenizer, ControlKind::kText);
  const MaskedDocument document = layout.whole(kDialogue);
  CHECK(spelled(tokenizer, document.tokens) ==
        "<|endoftext|><|persona|> i like tea.\n<|partner|> hello\n<|self|> hi .\n"
        "<|partner|> tea ?\n<|self|> yes\n");
  CHECK(document.tokens.front() == 256);
  CHECK(document.mask.size() == document.tokens.size());
  CHECK(counted(tokenizer, document) == " hi .\n yes\n");
}

TEST_CASE("with a history window one reply counts behind so many utterances", "[data_tools]") {
  const auto tokenizer = tokenizer::Tokenizer::load("bytes");
  DialogueDocuments layout(tokenizer, ControlKind::kText);
  const MaskedDocument document = layout.one_reply(kDialogue, 1, 2);
  CHECK(spelled(tokenizer, document.tokens) ==
        "<|endoftext|><|persona|> i like tea.\n<|self|> hi .\n<|partner|> tea ?\n"
        "<|self|> yes\n");
  CHECK(counted(tokenizer, document) == " yes\n");
  // A context and a candidate behind it are the document.
  CHECK(layout.context_text(kDialogue, 1, 2) + " yes\n" ==
        spelled(tokenizer, document.tokens).substr(tokenizer::kEndOfText.size()));
  CHECK(spelled(tokenizer, layout.context_tokens(kDialogue, 1, 2)) + " yes\n" ==
        spelled(tokenizer, document.tokens));
}

TEST_CASE("added tokens stand behind the vocabulary, one for each control word", "[data_tools]") {
  const auto tokenizer = tokenizer::Tokenizer::load("bytes");
  DialogueDocuments layout(tokenizer, ControlKind::kTokens);
  CHECK(layout.control().vocabulary_size() == 260);
  const MaskedDocument document = layout.one_reply(kDialogue, 0, 1);
  CHECK(document.tokens.at(1) == 257);
  CHECK(std::count(document.tokens.begin(), document.tokens.end(), 258) == 1);
  CHECK(std::count(document.tokens.begin(), document.tokens.end(), 259) == 1);
  CHECK(counted(tokenizer, document) == " hi .\n");
}

}  // namespace ovid::data_tools
