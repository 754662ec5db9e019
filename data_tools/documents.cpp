#include "data_tools/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "data_tools/archive.h"
#include "data_tools/byte_source.h"
#include "data_tools/interruption.h"
#include "data_tools/json_lines.h"
#include "src/core/error.h"
#include "src/core/file.h"

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
  for (const Signature& signature : kSignatures) {
    if (head.starts_with(signature.bytes)) {
      throw DataError(fmt::format("{} is not text but {}", name, signature.what));
    }
  }
}

bool is_json_lines_name(const std::string& name) {
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

class Walker {
 public:
  Walker(const InputOptions& options, DocumentVisitor& visitor)
      : options_(options), visitor_(visitor) {}

  void walk_input(const std::string& input) {
    if (input == "-") {
      FileSource source("-");
      walk_stream(source, "standard input", "", 0);
      return;
    }
    std::error_code error;
    if (!std::filesystem::is_directory(input, error)) {
      walk_file(input);
      return;
    }
    for (const Path& path : files_in(input)) walk_file(path.string());
  }

  const WalkCounts& counts() const { return counts_; }

 private:
  static std::vector<Path> files_in(const Path& folder) {
    std::vector<Path> files;
    auto entry = std::filesystem::recursive_directory_iterator(folder);
    for (; entry != std::filesystem::recursive_directory_iterator(); ++entry) {
      if (entry->path().filename().string().starts_with('.')) {
        entry.disable_recursion_pending();
      } else if (entry->is_regular_file()) {
        files.push_back(entry->path());
      }
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  void walk_file(const std::string& path) {
    FileSource source(path);
    walk_stream(source, path, path, 0);
  }

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
    buffer_.resize(1 << 20);
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
      const auto value = json_.text_field(*line, lines);
      if (value) {
        visitor_.begin_document(fmt::format("{}:{}", name, lines.number()));
        visitor_.add(*value);
        visitor_.end_document();
      }
    }
    counts_.lines_without_field = json_.lines_without_field();
    counts_.replaced_in_lines = json_.replacements();
  }

  const InputOptions& options_;
  DocumentVisitor& visitor_;
  WalkCounts counts_;
  std::vector<char> buffer_;
  JsonLineParser json_{options_};
};

}  // namespace

WalkCounts walk_documents(const InputOptions& options, DocumentVisitor& visitor) {
  Walker walker(options, visitor);
  for (const std::string& input : options.inputs) walker.walk_input(input);
  return walker.counts();
}

}  // namespace ovid::data_tools
