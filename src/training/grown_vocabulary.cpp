#include "src/training/grown_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "src/checkpoint/hugging_face_model.h"
#include "src/core/error.h"
#include "src/memory/transfer.h"
#include "src/tokenizer/tokenizer.h"
#include "src/training/parameter_files.h"

namespace ovid::training {
namespace {

using kernels::Shape;
using kernels::View;

// Whether the first tokens of `grown`, and its merges, are those of `base`.
bool extends(const tokenizer::Vocabulary& grown, const tokenizer::Vocabulary& base) {
  return grown.merges == base.merges && grown.end_of_text == base.end_of_text &&
         grown.tokens.size() >= base.tokens.size() &&
         std::equal(base.tokens.begin(), base.tokens.end(), grown.tokens.begin());
}

bool has_row_per_token(const std::string& name) {
  return name == "transformer.wte.weight" || name == "lm_head.weight";
}

View first_rows(const View& view, std::int64_t rows) {
  return {view.raw(), view.dtype(), Shape{rows, view.shape()[1]}};
}

// Adds the mean of the first `rows` rows to all that follow.
void add_mean(const View& whole, std::int64_t rows, kernels::cuda::Device* device) {
  const std::int64_t columns = whole.shape()[1];
  std::vector<float> values(static_cast<std::size_t>(whole.elements()));
  const View host(values.data(), kernels::DType::kFloat32, whole.shape());
  memory::copy_to_host(device, host, whole);
  memory::synchronize(device);
  for (std::int64_t column = 0; column < columns; ++column) {
    double sum = 0;
    for (std::int64_t row = 0; row < rows; ++row) sum += values[row * columns + column];
    const auto mean = static_cast<float>(sum / static_cast<double>(rows));
    for (std::int64_t row = rows; row < whole.shape()[0]; ++row)
      values[row * columns + column] += mean;
  }
  memory::copy_to_device(device, whole, host);
  memory::synchronize(device);
}

}  // namespace

void check_grown_tokenizer(const Path& directory, std::int64_t rows, const std::string& tokenizer) {
  const tokenizer::Vocabulary grown = tokenizer::load_vocabulary(tokenizer);
  if (const auto own = find_tokenizer(directory)) {
    if (extends(grown, tokenizer::load_vocabulary(own->string()))) return;
  } else if (static_cast<std::int64_t>(grown.base_size()) == rows) {
    return;
  }
  throw UsageError(fmt::format(
      "the data's tokenizer {} has {} entries, the model in initialize_from {} rows, and the "
      "former is not the model's tokenizer with tokens added behind it; make the data set with "
      "--tokenizer {}",
      tokenizer, grown.tokens.size(), rows, directory.string()));
}

void read_grown(const Path& directory, std::int64_t rows, const model::ParameterSet& weights) {
  std::vector<checkpoint::NamedDestination> destinations = named_destinations(weights);
  for (checkpoint::NamedDestination& destination : destinations) {
    if (has_row_per_token(destination.name)) destination.view = first_rows(destination.view, rows);
  }
  checkpoint::read_parameters(directory, destinations);
  for (const model::ParameterSet::Tensor& tensor : weights.tensors()) {
    if (has_row_per_token(tensor.description.name)) add_mean(tensor.view, rows, weights.device());
  }
}

}  // namespace ovid::training
