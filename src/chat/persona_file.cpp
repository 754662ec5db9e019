#include "src/chat/persona_file.h"

#include <fmt/format.h>

#include "src/core/error.h"
#include "src/prompts/dialogue_prompt.h"
#include "src/tokenizer/utf8.h"

namespace ovid::chat {
namespace {

// "1 your persona: i ski." -> "i ski."
std::string trait_of(std::string_view line) {
  const std::string cleaned = prompts::clean_utterance(line);
  std::string_view text = cleaned;
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits != std::string_view::npos && text.substr(digits).starts_with(" your persona:"))
    text.remove_prefix(digits + 1);
  for (const std::string_view label : {"your persona:", "persona:"}) {
    if (text.starts_with(label)) return prompts::clean_utterance(text.substr(label.size()));
  }
  return cleaned;
}

}  // namespace

std::vector<std::string> parse_persona(std::string_view content, const std::string& name) {
  if (tokenizer::find_invalid_utf8(content))
    throw DataError(fmt::format("{} is not UTF-8; write the persona as UTF-8", name));
  std::vector<std::string> traits;
  while (!content.empty()) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string trait = trait_of(content.substr(0, end));
    content.remove_prefix(std::min(end + 1, content.size()));
    if (!trait.empty()) traits.push_back(std::move(trait));
  }
  if (traits.empty() || traits.size() > kMostTraits) {
    throw DataError(fmt::format("{} has {} traits; 1 to {} are possible, one on each line", name,
                                traits.size(), kMostTraits));
  }
  return traits;
}

std::vector<std::string> read_persona(const Path& path) {
  constexpr std::uint64_t kMostBytes = 64 * 1024;
  return parse_persona(read_file(path, kMostBytes), path.string());
}

}  // namespace ovid::chat
