#include "src/cli/generate_prompts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/cli/commands.h"
#include "src/core/error.h"
#include "src/core/file.h"

namespace ovid::cli {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 28;  // of all prompts: 256 MiB

std::vector<std::int32_t> parse_ids(const std::string& text) {
  std::vector<std::int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    std::int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc{} || (next < end && *next != ',')) {
      throw UsageError(fmt::format(
          "--prompt-ids {}: expected token ids parted by commas, such as 15496,995", text));
    }
    ids.push_back(id);
    at = next < end ? next + 1 : next;
  }
  return ids;
}

std::string read_standard_input() {
  std::string content;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      throw ResourceError(fmt::format("cannot read standard input: {}", std::strerror(errno)));
    if (count == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (content.size() > kMostBytes) {
      throw DataError(fmt::format("standard input holds more than {} bytes of prompts; split them",
                                  kMostBytes));
    }
  }
}

std::string prompt_of_json(std::string_view line, const std::string& where) {
  nlohmann::json object;
  try {
    object = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception&) {
    throw DataError(fmt::format("{} is not JSON: expected {{\"prompt\": \"...\"}}", where));
  }
  if (!object.is_object() || !object.contains("prompt") || !object["prompt"].is_string()) {
    throw DataError(
        fmt::format("{} has no string \"prompt\": expected {{\"prompt\": \"...\"}}", where));
  }
  return object["prompt"].get<std::string>();
}

Prompt encoded(const std::string& text, const tokenizer::Tokenizer& tokenizer) {
  Prompt prompt{.text = text,
                .ids = tokenizer.encode(text, tokenizer::SpecialTokens::kRecognise),
                .category = {}};
  if (prompt.ids.empty()) prompt.ids.push_back(tokenizer.end_of_text());  // documents begin with it
  return prompt;
}

}  // namespace

std::vector<std::string> parse_prompts(std::string_view content, bool json_lines,
                                       const std::string& name) {
  std::vector<std::string> prompts;
  std::size_t number = 0;
  while (!content.empty()) {
    const std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!json_lines) {
      prompts.emplace_back(line);
    } else if (line.find_first_not_of(" \t") != std::string_view::npos) {
      prompts.push_back(prompt_of_json(line, fmt::format("line {} of {}", number, name)));
    }
  }
  if (prompts.empty()) {
    throw DataError(
        fmt::format("{} holds no prompt: expected {}", name,
                    json_lines ? "lines such as {\"prompt\": \"...\"}" : "one on each line"));
  }
  return prompts;
}

std::vector<Prompt> read_prompts(const GenerateOptions& options,
                                 const tokenizer::Tokenizer* tokenizer) {
  if (!options.prompt_ids.empty())
    return {{.text = std::nullopt, .ids = parse_ids(options.prompt_ids), .category = {}}};
  if (options.prompt) return {encoded(*options.prompt, *tokenizer)};
  const bool from_input = options.prompts == "-";
  const std::string content =
      from_input ? read_standard_input() : read_file(options.prompts, kMostBytes);
  const bool json_lines = options.jsonl || options.prompts.ends_with(".jsonl");
  std::vector<Prompt> prompts;
  for (const std::string& text :
       parse_prompts(content, json_lines, from_input ? "standard input" : options.prompts))
    prompts.push_back(encoded(text, *tokenizer));
  return prompts;
}

}  // namespace ovid::cli
