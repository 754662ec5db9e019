#include "data_tools/documents.h"

#include <fmt/format.h>

#include <array>

#include "data_tools/archive.h"
#include "data_tools/byte_source.h"
#include "data_tools/interruption.h"
#include "data_tools/json_lines.h"
#include "data_tools/read_ahead.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr int kMostNesting = 4;

struct Signature {
  std::string_view bytes;
  const char* what;
};

using namespace std::string_view_literals;
constexpr std::array kSignatures{
    Signature{"\x1f\x8b"sv, "gzip-compressed: let its name end in .gz"},
    Signature{"\xfd"
              "7zXZ\0"sv,
              "xz-compressed: let its name end in .xz"},
    Signature{"\x28\xb5\x2f\xfd"sv, "zstd-compressed: let its name end in .zst"},
    Signature{"PK\x03\x04"sv, "a zip archive: let its name end in .zip"},
    Signature{"BZh"sv, "bzip2-compressed: let its name end in .bz2"},
    Signature{"7z\xbc\xaf\x27\x1c"sv, "a 7z archive: unpack it first"},
    Signature{"PAR1"sv, "a Parquet file: turn it into JSON lines first"},
    Signature{"\x88\xd8\x34\x01"sv, "a token shard already"},
    Signature{"\x89\xd8\x34\x01"sv, "a loss mask, no text"},
    Signature{"\x89PNG"sv, "an image"},
    Signature{"%PDF-"sv, "a PDF: extract its text first"},
    Signature{"\xff\xfe"sv, "UTF-16: convert it to UTF-8 first"},
    Signature{"\xfe\xff"sv, "UTF-16: convert it to UTF-8 first"},
};

void refuse_binary(std::string_view head, const std::string& name) {
  if (const char* what = known_binary(head)) {
    throw DataError(fmt::format("{} is not text but {}", name, what));
  }
}

bool is_json_lines_name(const std::string& name) {
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

// Walks one input file. Each has its own, since several may be read at the same time.
class FileWalker {
 public:
  FileWalker(const InputOptions& options, std::atomic<std::uint64_t>* bytes_read,
             DocumentVisitor& visitor)
      : options_(options), bytes_read_(bytes_read), visitor_(visitor) {}

  WalkCounts walk(const std::string& path) {
    FileSource source(path, bytes_read_);
    const bool standard_input = path == "-";
    walk_stream(source, standard_input ? "standard input" : path, standard_input ? "" : path, 0);
    return std::move(counts_);
  }

 private:
  // `name` is for messages, `file_name` says what the bytes are.
  void walk_stream(ByteSource& source, const std::string& name, const std::string& file_name,
                   int depth) {
    check_interruption();
    if (is_archive_name(file_name)) {
      if (depth == kMostNesting) {
        throw DataError(fmt::format("{}: archives inside archives, more than {} deep; unpack them",
                                    name, kMostNesting));
      }
      for_each_member(source, name, [&](const std::string& member, ByteSource& content) {
        walk_stream(content, fmt::format("{}: {}", name, member), member, depth + 1);
      });
      return;
    }
    ++counts_.files;
    const bool lines = options_.format == InputFormat::kJsonLines ||
                       (options_.format == InputFormat::kByName && is_json_lines_name(file_name));
    if (lines) {
      walk_json_lines(source, name);
    } else {
      walk_text(source, name);
    }
  }

  void walk_text(ByteSource& source, const std::string& name) {
    visitor_.begin_document(name);
    buffer_.resize(kReadBytes);
    for (bool first = true;; first = false) {
      const std::size_t count = source.read(buffer_);
      if (count == 0) break;
      const std::string_view bytes(buffer_.data(), count);
      if (first) refuse_binary(bytes, name);
      visitor_.add(bytes);
      check_interruption();
    }
    visitor_.end_document();
  }

  void walk_json_lines(ByteSource& source, const std::string& name) {
    LineReader lines(source, name);
    while (const auto line = lines.next()) {
      check_interruption();
      if (lines.number() == 1) refuse_binary(*line, name);
      const auto value = json_.text_field(*line, lines, counts_);
      if (value) {
        visitor_.begin_document(fmt::format("{}:{}", name, lines.number()));
        visitor_.add(*value);
        visitor_.end_document();
      }
    }
  }

  static constexpr std::size_t kReadBytes = 1 << 18;
  const InputOptions& options_;
  std::atomic<std::uint64_t>* bytes_read_;
  DocumentVisitor& visitor_;
  WalkCounts counts_;
  std::vector<char> buffer_;
  JsonLineParser json_{options_};
};

}  // namespace

const char* known_binary(std::string_view head) {
  for (const Signature& signature : kSignatures) {
    if (head.starts_with(signature.bytes)) return signature.what;
  }
  return nullptr;
}

WalkCounts& WalkCounts::operator+=(const WalkCounts& other) {
  files += other.files;
  lines_without_field += other.lines_without_field;
  replaced_in_lines += other.replaced_in_lines;
  bad_lines += other.bad_lines;
  if (first_bad_line.empty()) first_bad_line = other.first_bad_line;
  return *this;
}

void check_bad_lines(const InputOptions& options, const WalkCounts& counts) {
  if (counts.bad_lines <= options.most_bad_lines) return;
  throw DataError(fmt::format("{} bad lines of JSON, and --most-bad-lines is {}; the first: {}",
                              counts.bad_lines, options.most_bad_lines, counts.first_bad_line));
}

WalkCounts walk_documents(const Walk& walk, WorkPool& pool, DocumentVisitor& visitor) {
  const auto walk_file = [&](std::size_t number, DocumentVisitor& of_file) {
    return FileWalker(walk.options, walk.bytes_read, of_file).walk(walk.files[number].path);
  };
  ReadAhead ahead(walk_file, walk.files.size(), pool);
  WalkCounts counts = walk.counts_before;
  for (std::uint64_t number = walk.first; number < walk.files.size(); ++number) {
    visitor.begin_input(number, counts);
    counts += ahead.visit(number, visitor);
    check_bad_lines(walk.options, counts);
  }
  return counts;
}

WalkCounts walk_documents(const InputOptions& options, DocumentVisitor& visitor) {
  WorkPool pool(1);
  const std::vector<InputFile> files = list_inputs(options.inputs);
  return walk_documents({.options = options, .files = files}, pool, visitor);
}

}  // namespace ovid::data_tools
