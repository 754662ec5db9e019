#include "data_tools/openwebtext/evaluation_sets.h"

#include <fmt/format.h>

#include <atomic>
#include <filesystem>

#include "data_tools/input_files.h"
#include "data_tools/openwebtext/web_record.h"
#include "data_tools/record_files.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/core/file.h"

namespace ovid::data_tools::openwebtext {
namespace {

constexpr std::size_t kMostTextBytes = 1 << 30;

std::string read_all(ByteSource& source, const std::string& name) {
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (const std::size_t count = source.read(buffer)) {
    if (text.size() + count > kMostTextBytes) {
      throw DataError(fmt::format(
          "{} is more than 1 GiB; an evaluation set is smaller: check --evaluation", name));
    }
    text.append(buffer.data(), count);
  }
  return text;
}

std::string without_tags(std::string_view xml) {
  std::string text;
  bool inside = false;
  for (const char c : xml) {
    if (c == '<') inside = true;
    if (!inside) text.push_back(c);
    if (c == '>') inside = false;
  }
  return text;
}

void add_content(overlap::EvaluationOverlap& overlap, std::size_t set, const std::string& name,
                 const std::string& file_name, PeekedSource& content) {
  const char first = content.first_character();
  if (first == '[' && file_name.ends_with(".json")) {
    for_each_json_record(content, name, 1, [&](const JsonRecord& record) {
      overlap.add_text(set, all_strings(record.text));
    });
  } else if (first == '{') {
    LineReader lines(content, name);
    while (const auto line = lines.next()) overlap.add_text(set, all_strings(*line));
  } else {
    const std::string text = read_all(content, name);
    overlap.add_text(set, first == '<' ? without_tags(text) : text);
  }
}

}  // namespace

EvaluationSets load_evaluation_sets(const std::vector<std::string>& paths) {
  EvaluationSets sets;
  if (paths.empty()) return sets;
  sets.overlap = std::make_unique<overlap::EvaluationOverlap>();
  std::atomic<std::uint64_t> bytes_read{0};
  for (const InputFile& file : list_inputs(paths)) {
    if (!file.is_regular) {
      throw UsageError(fmt::format("--evaluation {} is not a regular file", file.path));
    }
    sets.files.push_back({.path = file.path,
                          .bytes = file.bytes,
                          .checksum = checksum_of(MappedFile(file.path).bytes())});
    const std::size_t set =
        sets.overlap->add_set(std::filesystem::path(file.path).filename().string());
    for_each_record_file(
        {file}, bytes_read,
        [&](const std::string& name, const std::string& file_name, PeekedSource& content) {
          add_content(*sets.overlap, set, name, file_name, content);
        });
  }
  sets.overlap->ready();
  for (const overlap::SetOverlap& set : sets.overlap->sets()) {
    if (set.ngrams > 0) continue;
    throw UsageError(
        fmt::format("--evaluation {} holds no text of 8 words in a form that is read: plain text, "
                    "JSON lines, a JSON array, XML",
                    set.name));
  }
  return sets;
}

}  // namespace ovid::data_tools::openwebtext
