#include "data_tools/filters/language.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "data_tools/documents.h"
#include "data_tools/filters/text_pieces.h"
#include "tests/catch.h"
#include "tests/test_files.h"

namespace ovid::data_tools::filters {

namespace {

struct Document {
  std::string name;
  std::string text;
};

class Collector : public DocumentVisitor {
 public:
  void begin_document(const std::string& name) override { documents.push_back({name, ""}); }
  void add(std::string_view bytes) override { documents.back().text += bytes; }
  void end_document() override {}
  std::vector<Document> documents;
};

std::vector<Document> documents_of(const std::filesystem::path& path) {
  Collector collector;
  walk_documents({.inputs = {path.string()}}, collector);
  return std::move(collector.documents);
}

// Pieces of 100 words; none of a text in a script without spaces, which is one long word.
std::vector<std::string> pieces_of(const std::string& text) {
  std::vector<std::string> pieces(1);
  std::size_t words = 0;
  for_each_piece(text, [&](std::string_view word) {
    if (word == "<unk>" || word == "@-@") return;
    if (words == 100) {
      pieces.emplace_back();
      words = 0;
    }
    pieces.back() += word;
    pieces.back() += ' ';
    ++words;
  });
  if (words < 100 && pieces.size() > 1) pieces.pop_back();
  return pieces;
}

struct Rate {
  std::size_t english = 0;
  std::size_t all = 0;
  void add(const std::string& text) {
    english += language_verdict(text) ? 0 : 1;
    ++all;
  }
  double share() const { return static_cast<double>(english) / static_cast<double>(all); }
};

}  // namespace

TEST_CASE("English is kept and other languages are dropped", "[data_tools]") {
  const std::string english =
      "The committee met on Thursday to discuss what the city would do with the old station, which "
      "has been empty for years; nobody could say how much it would cost.";
  const std::string german =
      "Der Ausschuss trat am Donnerstag zusammen, um zu besprechen, was die Stadt mit dem alten "
      "Bahnhof machen soll, der seit Jahren leer steht; niemand wusste, was das kostet.";
  const std::string russian =
      "\xd0\x92\xd1\x81\xd0\xb5 \xd0\xbb\xd1\x8e\xd0\xb4\xd0\xb8 "
      "\xd1\x80\xd0\xbe\xd0\xb6\xd0\xb4\xd0\xb0\xd1\x8e\xd1\x82\xd1\x81\xd1\x8f";
  CHECK_FALSE(language_verdict(english));
  CHECK(score_english(english).score > 0.9);
  REQUIRE(language_verdict(german));
  CHECK(language_verdict(german)->reason == Reason::kNotEnglish);
  CHECK(language_verdict(german)->figure < 0.1);
  CHECK(language_verdict(german)->limit == kEnglishScore);
  CHECK(language_verdict(russian)->figure == 0);
  CHECK(language_verdict("12 34 -- 56")->figure == 0);
  CHECK_FALSE(language_verdict("Guten Tag"));  // a few words tell nothing
  CHECK_FALSE(language_verdict(german, 0.0));
  CHECK(score_english("").score == 0);
}

TEST_CASE("of the languages of the world hardly one passes for English", "[data_tools]") {
  const auto archive = test::shared_data("text/udhr2.zip");
  if (!archive) return;
  // These are English by descent, and what the filter says of them is neither right nor wrong:
  // Scots, and the creole that Nigerians call Pidgin.
  const std::set<std::string> near_english = {"sco", "pcm"};
  std::size_t number = 0;
  std::size_t empty = 0;
  Rate seen_documents, unseen_documents, seen_pieces, unseen_pieces, english;
  std::vector<Document> documents = documents_of(*archive);
  std::sort(documents.begin(), documents.end(),
            [](const Document& a, const Document& b) { return a.name < b.name; });
  for (const Document& document : documents) {
    // Every second language, the first among them, was used to make english_trigrams.h.
    const bool is_seen = number++ % 2 == 0;
    const std::string stem = std::filesystem::path(document.name).stem().string();
    if (document.text.find_first_not_of(" \r\n\t") == std::string::npos) {
      ++empty;
      continue;
    }
    if (near_english.count(stem) > 0) continue;
    const std::vector<std::string> pieces = pieces_of(document.text);
    if (stem == "eng") {
      CHECK_FALSE(language_verdict(document.text));
      for (const std::string& piece : pieces) english.add(piece);
      continue;
    }
    (is_seen ? seen_documents : unseen_documents).add(document.text);
    for (const std::string& piece : pieces) (is_seen ? seen_pieces : unseen_pieces).add(piece);
    if (!language_verdict(document.text)) fmt::print("passes for English: {}\n", stem);
  }
  fmt::print(
      "languages taken for English: {} of {} not used for the trigrams, {} of {} used; pieces of "
      "100 words: {} of {} and {} of {}; English pieces kept: {} of {}; {} empty files\n",
      unseen_documents.english, unseen_documents.all, seen_documents.english, seen_documents.all,
      unseen_pieces.english, unseen_pieces.all, seen_pieces.english, seen_pieces.all,
      english.english, english.all, empty);
  CHECK(unseen_documents.all > 180);
  CHECK(unseen_documents.english == 0);
  CHECK(unseen_pieces.share() < 0.001);
  CHECK(english.share() == 1);
}

TEST_CASE("English of encyclopedias, newspapers, plays and stories passes", "[data_tools]") {
  // Pieces of 100 words of texts that the trigrams were not made from. PTB has "N" for numbers and
  // lower case alone; its worst pieces are rows of names.
  for (const auto& [file, least] : {std::pair{"text/wikitext-2/wiki.valid.tokens.gz", 0.995},
                                    {"text/ptb/ptb.valid.txt.gz", 0.985},
                                    {"text/tinyshakespeare.txt.gz", 0.999}}) {
    const auto path = test::shared_data(file);
    if (!path) return;
    Rate rate;
    for (const std::string& piece : pieces_of(documents_of(*path).at(0).text)) rate.add(piece);
    fmt::print("{}: {} of {} pieces of 100 words kept\n", file, rate.english, rate.all);
    CHECK(rate.share() >= least);
  }
  const auto lambada = test::shared_data("eval/lambada_test.jsonl.gz");
  if (!lambada) return;
  Rate rate;
  for (const Document& document : documents_of(*lambada)) rate.add(document.text);
  fmt::print("LAMBADA: {} of {} passages kept\n", rate.english, rate.all);
  CHECK(rate.share() >= 0.999);
}

}  // namespace ovid::data_tools::filters
