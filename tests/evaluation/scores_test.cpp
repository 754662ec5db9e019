#include <cmath>

#include "kernels/common/random.h"
#include "src/core/error.h"
#include "src/data/shard_writer.h"
#include "src/evaluation/continuation_scorer.h"
#include "src/evaluation/dialogue_scores.h"
#include "src/evaluation/review_scores.h"
#include "src/evaluation/sequence_losses.h"
#include "src/evaluation/written_replies.h"
#include "tests/catch.h"
#include "tests/evaluation/tiny_model.h"
#include "tests/test_files.h"

namespace ovid::evaluation {
namespace {

using tokenizer::ControlKind;
using tokenizer::Tokenizer;
using Tokens = std::vector<std::int32_t>;

const model::ModelConfig kBytes{
    .layers = 2, .heads = 2, .width = 16, .context_length = 160, .vocabulary_size = 257};

Tokens random_tokens(std::uint64_t stream, std::size_t count) {
  Tokens tokens;
  for (std::size_t i = 0; i < count; ++i) {
    const auto words = kernels::random_words({.seed = 5, .major = stream}, i);
    tokens.push_back(static_cast<std::int32_t>(words[0] % 257));
  }
  return tokens;
}

// What `ovid eval` makes of one document in one window, where `counted` and later tokens count.
LossSum loss_of_masked_shard(const test::TinyModel& model, const Tokens& tokens,
                             std::size_t counted) {
  const test::TemporaryDirectory folder;
  data::ShardWriter writer({.directory = folder.path(), .prefix = "validation"});
  const std::vector<std::uint16_t> ids(tokens.begin(), tokens.end());
  std::vector<std::uint8_t> mask(ids.size(), 1);
  std::fill_n(mask.begin(), counted, std::uint8_t{0});
  writer.append(ids, mask);
  const std::string shard = writer.finish().front().path.string();
  return test::evaluate_shard(
      model.generation().config, model.generation().weights,
      {.shard = shard, .length = static_cast<std::int64_t>(tokens.size()) - 1});
}

// Dialogues with personas of different lengths, and candidates that are no prefix of each other.
std::vector<DialogueTurn> dialogue_turns() {
  std::vector<DialogueTurn> turns;
  for (int i = 0; i < 6; ++i) {
    std::string context = "<|persona|> i have " + std::to_string(i / 2) + " cats .\n";
    if (i % 2 == 1) context += "<|partner|> hi\n<|self|> hello , you\n";
    context += "<|partner|> what is it" + std::to_string(i) + " ?\n<|self|>";
    turns.push_back({.dialogue = i / 2,
                     .context = context,
                     .candidates = {"yes", "i like them a lot .", "no " + std::to_string(i), "ok"},
                     .gold = static_cast<std::size_t>(i) % 4});
  }
  return turns;
}

}  // namespace

TEST_CASE("losses of packed texts are those of each alone, and of a masked shard", "[evaluation]") {
  const test::TinyModel model(kBytes);
  std::vector<ScoredSequence> sequences;
  for (const std::size_t length : {2u, 161u, 17u, 16u, 90u, 33u, 3u, 40u})
    sequences.push_back({random_tokens(length, length), 1 + length / 3});
  sequences[3].counted = sequences[3].tokens.size();  // nothing counts
  const std::vector<double> together = sequence_losses(model.generation(), sequences);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    CAPTURE(i);
    CHECK(together[i] ==
          Approx(sequence_losses(model.generation(), {&sequences[i], 1})[0]).epsilon(1e-5));
    const LossSum shard = loss_of_masked_shard(model, sequences[i].tokens, sequences[i].counted);
    CHECK(together[i] == Approx(shard.sum).epsilon(1e-5));
  }
  CHECK(together[3] == 0);
  CHECK(together[1] > 107 * std::log(257.0));  // strong weights, random text
}

TEST_CASE("texts that a model cannot score are refused", "[evaluation]") {
  const test::TinyModel model(kBytes);
  const auto score = [&](Tokens tokens, std::size_t counted) {
    const ScoredSequence sequence{std::move(tokens), counted};
    return sequence_losses(model.generation(), {&sequence, 1});
  };
  CHECK_THROWS_AS(score({1}, 1), DataError);
  CHECK_THROWS_AS(score(random_tokens(0, 162), 1), DataError);
  CHECK_THROWS_AS(score({1, 257}, 1), DataError);
  CHECK_THROWS_AS(score({1, -1}, 1), DataError);
  CHECK_THROWS_AS(score({1, 2}, 0), DataError);
  CHECK_THROWS_AS(score({1, 2}, 3), DataError);
}

TEST_CASE("continuations of a shared context score as whole texts do", "[evaluation]") {
  const test::TinyModel model(kBytes);
  ContinuationScorer scorer(model.generation(), 2);  // three continuations in two parts
  // Contexts that share a beginning, that are a beginning of the one before, and the same again.
  Tokens longer = random_tokens(1, 60);
  const Tokens shorter(longer.begin(), longer.begin() + 25);
  Tokens other = shorter;
  other.push_back(7);
  for (const Tokens& context : {shorter, longer, other, shorter, shorter}) {
    std::vector<Tokens> continuations{random_tokens(2, 9), random_tokens(3, 1),
                                      random_tokens(4, 161 - context.size())};
    const std::vector<double> sums = scorer.score(context, continuations);
    for (std::size_t i = 0; i < continuations.size(); ++i) {
      ScoredSequence whole{context, context.size()};
      whole.tokens.insert(whole.tokens.end(), continuations[i].begin(), continuations[i].end());
      CHECK(-sums[i] == Approx(sequence_losses(model.generation(), {&whole, 1})[0]).epsilon(1e-5));
    }
    CHECK(scorer.score(context, continuations) == sums);
    CHECK(ContinuationScorer(model.generation(), 5).score(context, continuations) == sums);
  }
  CHECK_THROWS_AS(scorer.score(longer, std::vector<Tokens>{random_tokens(2, 102)}), DataError);
  CHECK_THROWS_AS(scorer.score({}, std::vector<Tokens>{{1}}), DataError);
  CHECK_THROWS_AS(scorer.score(longer, std::vector<Tokens>{{}}), DataError);
}

TEST_CASE("hits and perplexity of dialogues are those of brute force", "[evaluation]") {
  const test::TinyModel model(kBytes, 2);
  const Tokenizer tokenizer = Tokenizer::load("bytes");
  const prompts::DialogueLayout layout(tokenizer, ControlKind::kText);
  const std::vector<DialogueTurn> turns = dialogue_turns();
  const auto scores_of = [&](ContextKind kind) {
    return score_candidates({.model = model.generation(), .layout = layout, .context = kind},
                            turns);
  };
  const std::vector<CandidateScores> scores = scores_of(ContextKind::kWhole),
                                     of_nothing = scores_of(ContextKind::kNothing);
  std::int64_t hits = 0, by_mean = 0, by_gain = 0, tokens = 0;
  double nats = 0;
  for (std::size_t t = 0; t < turns.size(); ++t) {
    std::size_t best = 0, best_mean = 0, best_gain = 0;
    for (std::size_t c = 0; c < turns[t].candidates.size(); ++c) {
      Tokens whole{tokenizer.end_of_text()};
      const std::string reply = " " + turns[t].candidates[c] + "\n";
      for (const char byte : turns[t].context + reply)
        whole.push_back(static_cast<unsigned char>(byte));
      const LossSum loss = loss_of_masked_shard(model, whole, whole.size() - reply.size());
      CHECK(-scores[t].sums[c] == Approx(loss.sum).epsilon(1e-5));
      CHECK(scores[t].tokens[c] == loss.targets);
      if (c == turns[t].gold) {
        nats += loss.sum;
        tokens += loss.targets;
      }
      const auto mean = [&](std::size_t i) {
        return scores[t].sums[i] / static_cast<double>(turns[t].candidates[i].size() + 2);
      };
      const auto gain = [&](std::size_t i) { return scores[t].sums[i] - of_nothing[t].sums[i]; };
      if (scores[t].sums[c] > scores[t].sums[best]) best = c;
      if (mean(c) > mean(best_mean)) best_mean = c;
      if (gain(c) > gain(best_gain)) best_gain = c;
    }
    hits += best == turns[t].gold;
    by_mean += best_mean == turns[t].gold;
    by_gain += best_gain == turns[t].gold;
  }
  const DialogueScores ranked = rank_candidates(turns, scores, of_nothing);
  CHECK(ranked.replies.mean() == Approx(nats / static_cast<double>(tokens)).epsilon(1e-5));
  CHECK(ranked.replies.units() == tokens);
  CHECK(ranked.hits_by_sum.sum() == static_cast<double>(hits));
  CHECK(ranked.hits_by_mean.sum() == static_cast<double>(by_mean));
  CHECK(ranked.hits_by_gain.sum() == static_cast<double>(by_gain));
  CHECK(ranked.hits_by_sum.groups() == 3);
  CHECK(ranked.hits_by_sum.units() == 6);
  CHECK(ranked.chance == Approx(0.25));
  CHECK(ranked.trimmed == 0);
  CHECK(scores_of(ContextKind::kWithoutPersona)[0].sums != scores[0].sums);
}

TEST_CASE("a context that is too long loses its oldest utterances", "[evaluation]") {
  const test::TinyModel model(kBytes);
  const Tokenizer tokenizer = Tokenizer::load("bytes");
  const prompts::DialogueLayout layout(tokenizer, ControlKind::kText);
  std::vector<DialogueTurn> turns = dialogue_turns();
  const std::string last = "<|partner|> so ?\n<|self|>";
  turns.resize(2);
  turns[0].context = "<|persona|> x\n<|partner|> " + std::string(90, 'a') + "\n" + last;
  turns[1].context = "<|persona|> x\n" + last;
  for (DialogueTurn& turn : turns) turn.candidates = {std::string(60, 'b'), "c"};
  const auto scores = score_candidates({.model = model.generation(), .layout = layout}, turns);
  CHECK(scores[0].trimmed);
  CHECK_FALSE(scores[1].trimmed);
  CHECK(scores[0].sums == scores[1].sums);
}

TEST_CASE("a review's own, wrong and absent control words are scored over the same tokens",
          "[evaluation]") {
  const test::TinyModel model(kBytes);
  const Tokenizer tokenizer = Tokenizer::load("bytes");
  const prompts::ReviewLayout layout(tokenizer, ControlKind::kText);
  const std::vector<HeldOutReview> reviews{
      {.stars = 5, .category = "Books", .headline = "Good", .text = "a fine read"},
      {.stars = 2, .category = "Shoes", .headline = "", .text = std::string(300, 'x')}};
  ReviewScoring scoring{.model = model.generation(), .tokenizer = tokenizer, .layout = layout};
  const ReviewPerplexity perplexity = score_reviews(scoring, reviews);
  const auto nats = [&](const std::string& control) {
    Tokens tokens{tokenizer.end_of_text()};
    for (const char byte : control + "\nGood\na fine read")
      tokens.push_back(static_cast<unsigned char>(byte));
    tokens.push_back(tokenizer.end_of_text());
    return loss_of_masked_shard(model, tokens, control.size() + 2).sum;
  };
  const ReviewScores& books = perplexity.categories.at("Books");
  CHECK(books.losses[kItsOwn].sum() ==
        Approx(nats("<|stars:5|> <|category:Books|>")).epsilon(1e-5));
  CHECK(books.losses[kWrongStars].sum() ==
        Approx(nats("<|stars:1|> <|category:Books|>")).epsilon(1e-5));
  CHECK(books.losses[kNoPrefix].sum() == Approx(nats("")).epsilon(1e-5));
  CHECK(books.losses[kItsOwn].units() == 17);  // 16 bytes and the end of the text
  CHECK(books.words == 4);
  CHECK(books.bytes == 16);
  CHECK(books.gain.sum() == Approx(books.losses[kWrongStars].sum() - books.losses[kItsOwn].sum()));
  // 161 tokens less <|endoftext|>, 30 of control words and a line end.
  const ReviewScores& two = perplexity.stars[1];
  CHECK(perplexity.cut == 1);
  CHECK(two.losses[kItsOwn].units() == 129);
  CHECK(two.losses[kNoPrefix].units() == 129);
  CHECK(two.bytes == 129);
  CHECK(perplexity.all.losses[kItsOwn].sum() ==
        Approx(books.losses[kItsOwn].sum() + two.losses[kItsOwn].sum()));
  scoring.without_prefix = true;
  const ReviewPerplexity bare = score_reviews(scoring, reviews);
  CHECK(bare.all.losses[kItsOwn].groups() == 0);
  CHECK(bare.stars[4].losses[kNoPrefix].sum() == Approx(nats("")).epsilon(1e-5));
}

TEST_CASE("farthest stars are on the other side", "[evaluation]") {
  CHECK(farthest_stars(1) == 5);
  CHECK(farthest_stars(2) == 5);
  CHECK(farthest_stars(3) == 1);
  CHECK(farthest_stars(5) == 1);
}

}  // namespace ovid::evaluation
