#include "data_tools/split.h"

#include <array>
#include <cmath>
#include <string_view>

#include "src/core/checksum.h"

namespace ovid::data_tools {
namespace {

std::uint64_t start_of_run(std::uint64_t run, double fraction) {
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(run) / fraction));
}

bool starts_inside_character(std::string_view bytes) {
  return !bytes.empty() && (static_cast<unsigned char>(bytes.front()) & 0xc0) == 0x80;
}

}  // namespace

bool splits_by_document(std::uint64_t documents, double fraction) {
  return static_cast<double>(documents) >= 2.0 / fraction;
}

bool is_validation_document(std::uint64_t index, double fraction, std::uint64_t seed) {
  if (fraction <= 0) return false;
  // The division may round to a neighbour of the run; the starts decide.
  auto run = static_cast<std::uint64_t>(static_cast<double>(index) * fraction);
  while (start_of_run(run, fraction) > index) --run;
  while (start_of_run(run + 1, fraction) <= index) ++run;
  const std::uint64_t start = start_of_run(run, fraction);
  const std::uint64_t length = start_of_run(run + 1, fraction) - start;
  const std::array<std::uint64_t, 1> key{run};
  return index == start + hash64(std::as_bytes(std::span(key)), seed) % length;
}

PositionSplit::PositionSplit(std::uint64_t bytes, double fraction)
    : boundary_(
          static_cast<std::uint64_t>(std::floor(static_cast<double>(bytes) * (1.0 - fraction)))) {}

std::size_t PositionSplit::tokens_for_training(std::span<const std::uint16_t> tokens,
                                               const tokenizer::Tokenizer& tokenizer) {
  if (validating_) return 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view spelled = tokenizer.token_bytes(tokens[i]);
    if (start_ >= boundary_ && !starts_inside_character(spelled)) {
      validating_ = true;
      return i;
    }
    start_ += spelled.size();
  }
  return tokens.size();
}

}  // namespace ovid::data_tools
