#include "src/cli/generate_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "src/cli/commands.h"
#include "src/cli/standard_output.h"

namespace ovid::cli {

GenerateOutput::GenerateOutput(const Setup& setup) : setup_(setup) {}

GenerateOutput::Text& GenerateOutput::text_of(const generation::Sample& sample) {
  const Key key{sample.prompt, sample.number};
  const auto found = texts_.find(key);
  if (found != texts_.end()) return found->second;
  return texts_
      .emplace(key, Text{.decoder = tokenizer::StreamDecoder(*setup_.tokenizer),
                         .stop = generation::StopText(setup_.options.stop)})
      .first->second;
}

bool GenerateOutput::streams() const {
  // Of samples without end none is left half shown by the signal that ends them.
  return !setup_.options.json && setup_.tokenizer != nullptr && setup_.options.samples != 0;
}

generation::AfterToken GenerateOutput::add_token(const generation::Sample& sample) {
  if (setup_.tokenizer == nullptr) return generation::AfterToken::kContinue;
  Text& text = text_of(sample);
  const std::int32_t token = sample.tokens.back();
  if (token != setup_.end_of_text) text.all += text.stop.push(text.decoder.push(token));
  if (streams() && Key{sample.prompt, sample.number} == next_) print(take_new(sample, text));
  return text.stop.found() ? generation::AfterToken::kStop : generation::AfterToken::kContinue;
}

std::string GenerateOutput::take_new(const generation::Sample& sample, Text& text) const {
  std::string shown;
  if (!text.begun) {
    shown = heading(sample);
    const Prompt& prompt = setup_.prompts[static_cast<std::size_t>(sample.prompt)];
    if (prompt.text) shown += *prompt.text;
    text.begun = true;
  }
  shown += std::string_view(text.all).substr(text.shown);
  text.shown = text.all.size();
  return shown;
}

std::string GenerateOutput::heading(const generation::Sample& sample) const {
  const bool prompts = setup_.prompts.size() > 1, samples = setup_.options.samples != 1;
  if (!prompts && !samples) return "";
  if (!prompts) return fmt::format("--- sample {} ---\n", sample.number + 1);
  if (!samples) return fmt::format("--- prompt {} ---\n", sample.prompt + 1);
  return fmt::format("--- prompt {}, sample {} ---\n", sample.prompt + 1, sample.number + 1);
}

void GenerateOutput::finish(const generation::Sample& sample) {
  Text* text = nullptr;
  if (setup_.tokenizer != nullptr) {
    text = &text_of(sample);
    text->all += text->stop.push(text->decoder.finish());
    text->all += text->stop.finish();
  }
  if (setup_.options.json) {
    print_line(json(sample, text));
  } else if (text != nullptr) {
    print_line(take_new(sample, *text));
  } else {
    print_line(fmt::format("{}", fmt::join(sample.tokens, ",")));
  }
  texts_.erase({sample.prompt, sample.number});
  const bool last = sample.number + 1 == setup_.options.samples;
  next_ = last ? Key{sample.prompt + 1, 0} : Key{sample.prompt, sample.number + 1};
}

std::string GenerateOutput::json(const generation::Sample& sample, const Text* text) const {
  nlohmann::ordered_json line = {
      {"sample", sample.number},
      {"seed", setup_.seed},
      {"prompt_tokens", setup_.prompts[static_cast<std::size_t>(sample.prompt)].ids},
      {"tokens", sample.tokens},
      {"text", nullptr},
      {"finish_reason", generation::name_of(sample.finish_reason)}};
  if (text != nullptr) line["text"] = text->all;
  if (!setup_.options.prompts.empty()) line["prompt"] = sample.prompt;
  if (setup_.options.stars) {
    line["stars"] = *setup_.options.stars;
    line["category"] = setup_.prompts.front().category;
    if (!setup_.options.headline.empty()) line["headline"] = setup_.options.headline;
  }
  return line.dump();
}

}  // namespace ovid::cli
