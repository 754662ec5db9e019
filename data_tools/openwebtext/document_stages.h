#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/duplicates/exact_duplicates.h"
#include "data_tools/duplicates/minhash.h"
#include "data_tools/filters/boilerplate.h"
#include "data_tools/filters/normalise.h"
#include "data_tools/openwebtext/unit_walker.h"
#include "data_tools/overlap/evaluation_overlap.h"
#include "src/tokenizer/encode_cache.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools::openwebtext {

// In the order in which a document passes them.
enum class Stage : std::uint8_t {
  kRead,
  kNormalise,
  kBoilerplate,
  kLanguage,
  kQuality,
  kWikipedia,
  kExactDuplicates,
  kNearDuplicates,
  kOverlap,
};
inline constexpr std::size_t kStages = 9;
const char* name_of(Stage stage);  // as in the passport: "exact_duplicates"

enum class Quality { kLength, kGopher };

struct StageSettings {
  bool remove_boilerplate = true;
  bool english_only = true;
  Quality quality = Quality::kLength;
  double min_words = 50;
  double max_words = 100000;
  bool remove_wikipedia = true;
};

struct Dropped {
  Stage stage;
  std::string reason;  // as in the passport
  double figure = 0;   // what was measured, in the unit of the filter
  double limit = 0;
};

// What became of one item on its way through the stages that look at it alone.
struct Outcome {
  std::optional<Dropped> dropped;
  std::uint64_t raw_bytes = 0;
  std::uint64_t normalised_bytes = 0;
  std::uint64_t text_bytes = 0;  // after the boilerplate's removal
  filters::NormaliseCounts normalised;
  std::array<std::uint64_t, filters::kLineKinds> lines{};
  std::string excerpt;  // of what was dropped
  // Of a document that stays:
  std::vector<std::uint16_t> ids;
  duplicates::TextHash hash;
  std::optional<duplicates::Signature> signature;
  overlap::DocumentOverlap overlap;
};

inline constexpr std::size_t kExcerptBytes = 400;
// The first kExcerptBytes of UTF-8 text at most, not cut inside a character.
std::string excerpt_of(std::string_view text);

// The stages that look at one document. One for each thread: it keeps working memory. The outcome
// is a function of the item and the settings; only the marks in `evaluation` are shared.
class DocumentStages {
 public:
  // Keeps references. `evaluation` may be null.
  DocumentStages(const StageSettings& settings, const tokenizer::Tokenizer& tokenizer,
                 overlap::EvaluationOverlap* evaluation);
  Outcome operator()(const Item& item);

 private:
  std::optional<Dropped> judge(std::string_view text, const std::string& url) const;

  const StageSettings& settings_;
  const tokenizer::Tokenizer& tokenizer_;
  overlap::EvaluationOverlap* evaluation_;
  tokenizer::EncodeCache cache_;
  duplicates::SignatureMaker signatures_;
  std::vector<std::uint64_t> words_;
  std::vector<tokenizer::TokenId> ids_;
};

}  // namespace ovid::data_tools::openwebtext
