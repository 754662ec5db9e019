#include "data_tools/openwebtext/unit_walker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data_tools/archive.h"
#include "data_tools/interruption.h"
#include "data_tools/openwebtext/web_record.h"
#include "data_tools/record_files.h"
#include "src/core/error.h"

namespace ovid::data_tools::openwebtext {
namespace {

constexpr std::size_t kReadBytes = 1 << 16;

bool is_records_name(const std::string& name) {
  return name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json");
}

}  // namespace

struct UnitWalker::Json {
  explicit Json(const std::string& field) : parser(field) {}
  WebRecordParser parser;
};

const char* name_of(Found found) {
  switch (found) {
    case Found::kDocument:
      return "document";
    case Found::kUnsafeName:
      return "unsafe_name";
    case Found::kNotAFile:
      return "not_a_file";
    case Found::kBadRecord:
      return "bad_record";
    case Found::kTooLarge:
      return "too_large";
    case Found::kBinary:
      return "binary";
    case Found::kDamaged:
      return "damaged_archive";
  }
  return "";
}

UnitWalker::UnitWalker(const ReadOptions& options, ItemSink sink, NestedArchive nested)
    : options_(options),
      sink_(std::move(sink)),
      nested_(std::move(nested)),
      json_(std::make_unique<Json>(options.field)) {}

UnitWalker::~UnitWalker() = default;

void UnitWalker::tell(Found found, const std::string& name, std::string what) {
  sink_({.found = found, .name = name, .url = {}, .text = std::move(what)});
}

void UnitWalker::walk(ByteSource& source, const std::string& name, const std::string& file_name,
                      int depth) {
  check_interruption();
  if (is_archive_name(file_name)) {
    if (depth == kMostNesting) {
      tell(Found::kDamaged, name,
           fmt::format("archives inside archives, more than {} deep", kMostNesting));
      return;
    }
    walk_archive(source, name, depth);
    return;
  }
  const bool records = options_.format == InputFormat::kJsonLines ||
                       (options_.format == InputFormat::kByName && is_records_name(file_name));
  if (records) {
    walk_records(source, name);
  } else {
    walk_text(source, name);
  }
}

void UnitWalker::walk_archive(ByteSource& source, const std::string& name, int depth) {
  const auto inside = [&](const std::string& member) {
    return fmt::format("{}: {}", name, member);
  };
  try {
    for_each_member(
        source, name,
        [&](const std::string& member, ByteSource& content) {
          const bool archive = is_archive_name(member);
          if (archive && nested_ && nested_(content, inside(member), member, depth + 1)) return;
          walk(content, inside(member), member, depth + 1);
        },
        [&](const std::string& member, PassedOver why, const std::string& what) {
          tell(why == PassedOver::kUnsafeName ? Found::kUnsafeName : Found::kNotAFile,
               inside(member), what);
        });
  } catch (const DataError& error) {
    tell(Found::kDamaged, name, error.what());
  }
}

void UnitWalker::walk_text(ByteSource& source, const std::string& name) {
  std::string text;
  std::uint64_t bytes = 0;
  std::vector<char> buffer(kReadBytes);
  // Also what is too long is read to its end, so that a bomb is recognised.
  while (const std::size_t count = source.read(buffer)) {
    check_interruption();
    bytes += count;
    if (bytes <= options_.most_document_bytes) text.append(buffer.data(), count);
  }
  if (const char* what = known_binary(text)) {
    tell(Found::kBinary, name, what);
  } else if (bytes > options_.most_document_bytes) {
    tell(Found::kTooLarge, name,
         fmt::format("{} bytes, and {} are the most", bytes, options_.most_document_bytes));
  } else {
    sink_({.found = Found::kDocument, .name = name, .url = {}, .text = std::move(text)});
  }
}

void UnitWalker::take_record(std::string_view json, const std::string& name) {
  std::string wrong;
  std::optional<WebRecord> record = json_->parser.parse(json, wrong);
  if (!record) {
    tell(Found::kBadRecord, name, wrong);
  } else if (record->text.size() > options_.most_document_bytes) {
    tell(Found::kTooLarge, name,
         fmt::format("{} bytes, and {} are the most", record->text.size(),
                     options_.most_document_bytes));
  } else {
    sink_({.found = Found::kDocument,
           .name = name,
           .url = std::move(record->url),
           .text = std::move(record->text)});
  }
}

void UnitWalker::walk_records(ByteSource& source, const std::string& name) {
  PeekedSource content(source);
  if (content.first_character() == '[') {
    for_each_json_record(content, name, 1, [&](const JsonRecord& record) {
      take_record(record.text, fmt::format("{}:{}", name, record.line));
    });
    return;
  }
  LineReader lines(content, name);
  while (const auto line = lines.next()) {
    check_interruption();
    if (line->find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (lines.number() == 1) {
      if (const char* what = known_binary(*line)) {
        tell(Found::kBinary, name, what);
        break;
      }
    }
    take_record(*line, fmt::format("{}:{}", name, lines.number()));
  }
}

}  // namespace ovid::data_tools::openwebtext
