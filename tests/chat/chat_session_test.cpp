#include "src/chat/chat_session.h"

#include <memory>

#include "src/core/error.h"
#include "src/model/model.h"
#include "tests/catch.h"

// Conversations with a model of random weights, whose replies depend on all that it sees.
namespace ovid::chat {
namespace {

using Catch::Matchers::Contains;
using generation::AfterToken;
using prompts::DialogueLayout;
using tokenizer::Tokenizer;

const model::ModelConfig kConfig{
    .layers = 2, .heads = 3, .width = 24, .context_length = 160, .vocabulary_size = 257};

class RandomModel {
 public:
  RandomModel() : weights_(kConfig, "weights") {
    model::initialise(weights_, kConfig, 11);
    for (const auto& tensor : weights_.tensors()) {
      if (tensor.view.shape().rank() < 2) continue;
      for (std::int64_t i = 0; i < tensor.view.elements(); ++i) tensor.view.data<float>()[i] *= 12;
    }
  }
  ChatSession session(ChatSettings settings = {.sampling = {.seed = 5}, .max_new_tokens = 12}) {
    return ChatSession(model(), tokenizer_, layout_, settings);
  }
  generation::GenerationModel model() const {
    return {.config = kConfig, .weights = weights_.views(), .target = {}};
  }
  std::string spelled(const std::vector<std::int32_t>& tokens) const {
    return tokenizer_.decode(tokens);
  }

 private:
  model::ParameterSet weights_;
  Tokenizer tokenizer_ = Tokenizer::load("bytes");
  DialogueLayout layout_{tokenizer_, tokenizer::ControlKind::kText, {"", "A:", "B:"}};
};

}  // namespace

TEST_CASE("a reply follows persona, history and message in their layout", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  session.set_persona({"i ski.", "i sing."});
  const ChatReply first = session.say("hello", nullptr);
  CHECK(random.spelled(first.prompt) == "<|endoftext|>i ski.\ni sing.\nA: hello\nB:");
  const ChatReply second = session.say("", nullptr);
  const std::string said =
      first.turn.reply.empty() ? std::string() : "B: " + first.turn.reply + "\n";
  CHECK(random.spelled(second.prompt) == "<|endoftext|>i ski.\ni sing.\nA: hello\n" + said + "B:");
  CHECK(session.seen_tokens() == second.prompt);
}

TEST_CASE("replies are those of generate, whatever keys and values are reused", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  session.set_persona({"i ski."});
  const auto check = [&](const ChatReply& reply, std::int64_t reused) {
    CHECK(reply.reused >= reused);
    const auto samples = [&] {
      std::vector<generation::Sample> all;
      generation::generate(random.model(), std::span(&reply.prompt, 1),
                           {.sampling = {.seed = reply.seed},
                            .max_new_tokens = static_cast<std::int64_t>(reply.tokens.size()),
                            .first_sample = static_cast<std::int64_t>(reply.number)},
                           {.on_sample = [&](const auto& sample) { all.push_back(sample); }});
      return all;
    }();
    CHECK(samples.at(0).tokens == reply.tokens);
  };
  const ChatReply first = session.say("hello", nullptr);
  check(first, 0);
  const ChatReply second = session.say("tea ?", nullptr);
  check(second, static_cast<std::int64_t>(first.prompt.size()) - 1);
  const ChatReply again = session.retry(nullptr);
  check(again, static_cast<std::int64_t>(second.prompt.size()) - 1);
  CHECK(again.seed == second.seed + 1);
  CHECK(again.prompt == second.prompt);
  CHECK(again.tokens != second.tokens);
}

TEST_CASE("the same lines have the same replies, and undo leaves no trace", "[chat]") {
  RandomModel random;
  ChatSession one = random.session(), other = random.session();
  const ChatReply first = one.say("hello", nullptr);
  (void)other.say("nothing", nullptr);
  (void)other.retry(nullptr);
  other.undo();
  CHECK(other.say("hello", nullptr).tokens == first.tokens);
  CHECK(one.transcript() == other.transcript());
  other.undo();
  CHECK_THROWS_AS(other.undo(), UsageError);
  CHECK_THROWS_AS(other.retry(nullptr), UsageError);
}

TEST_CASE("a listener sees the reply in pieces and can end it", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  std::string pieces;
  const ChatReply whole = session.say("hello", [&](std::string_view piece) {
    pieces += piece;
    return AfterToken::kContinue;
  });
  CHECK(pieces == whole.turn.reply);
  REQUIRE(whole.turn.reply.size() > 1);
  session.undo();
  const ChatReply cut = session.say("hello", [](std::string_view) { return AfterToken::kStop; });
  CHECK(cut.tokens.size() < whole.tokens.size());
  CHECK(whole.turn.reply.starts_with(cut.turn.reply));
  CHECK(session.turns().back().reply == cut.turn.reply);
}

TEST_CASE("what is too long leaves out old utterances, never persona or message", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  session.set_persona({"i ski."});
  std::size_t dropped = 0;
  for (int i = 0; i < 12; ++i) {
    const ChatReply reply = session.say("what do you say now ?", nullptr);
    CHECK(reply.prompt.size() + 12 <= static_cast<std::size_t>(kConfig.context_length));
    CHECK_THAT(random.spelled(reply.prompt), Contains("i ski.\n"));
    CHECK(random.spelled(reply.prompt).ends_with("A: what do you say now ?\nB:"));
    CHECK(reply.dropped >= dropped);
    dropped = reply.dropped;
  }
  CHECK(dropped > 0);
  const std::string before = session.transcript();
  CHECK_THROWS_WITH(session.say(std::string(200, 'a'), nullptr), Contains("fewer words"));
  CHECK_THROWS_WITH(session.add_trait(std::string(200, 'a')), Contains("does not fit"));
  CHECK(session.transcript() == before);
}

TEST_CASE("a history window shows the model the last utterances alone", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  (void)session.say("one", nullptr);
  session.set_history(1);
  CHECK(random.spelled(session.say("two", nullptr).prompt) == "<|endoftext|>A: two\nB:");
  session.set_history(-1);
  CHECK_THAT(random.spelled(session.say("three", nullptr).prompt), Contains("A: one\n"));
}

TEST_CASE("the persona can be edited while talking", "[chat]") {
  RandomModel random;
  ChatSession session = random.session();
  (void)session.say("one", nullptr);
  session.add_trait("i ski.");
  session.add_trait("i sing.");
  session.remove_trait(1);
  CHECK(session.persona() == std::vector<std::string>{"i sing."});
  CHECK_THROWS_AS(session.remove_trait(2), UsageError);
  CHECK_THROWS_AS(session.remove_trait(0), UsageError);
  CHECK(random.spelled(session.retry(nullptr).prompt) == "<|endoftext|>i sing.\nA: one\nB:");
  CHECK(session.transcript().starts_with("persona: i sing.\n\npartner: one\n"));
}

}  // namespace ovid::chat
