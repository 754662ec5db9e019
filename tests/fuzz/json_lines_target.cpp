#include "data_tools/json_lines.h"

#include <cstring>

#include "data_tools/base64.h"
#include "data_tools/documents.h"
#include "src/core/error.h"
#include "src/tokenizer/utf8.h"
#include "tests/fuzz/fuzz_target.h"

// JSON lines: a corpus, and the requests of encode and decode.
namespace ovid::fuzz {
namespace {

using namespace data_tools;

class CountingVisitor : public DocumentVisitor {
 public:
  void begin_document(const std::string& name) override { check_shown(name); }
  void add(std::string_view bytes) override {
    if (tokenizer::find_invalid_utf8(bytes)) fail("a text that is not UTF-8");
  }
  void end_document() override {}
};

void walk(const Path& path, bool lenient) {
  refuses([&] {
    InputOptions options;
    options.inputs = {path.string()};
    options.skip_missing_field = lenient;
    options.repair_utf8 = lenient;
    options.skip_bad_lines = lenient;
    options.most_bad_lines = 3;
    CountingVisitor visitor;
    walk_documents(options, visitor);
  });
}

class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string_view bytes) : bytes_(bytes) {}
  std::size_t read(std::span<char> buffer) override {
    const std::size_t count = std::min(buffer.size(), bytes_.size());
    std::memcpy(buffer.data(), bytes_.data(), count);
    bytes_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view bytes_;
};

void read_requests(std::string_view input) {
  StringSource source(input);
  LineReader lines(source, "requests");
  CodecRequestParser parser;
  while (const auto line = lines.next()) {
    refuses([&] {
      const CodecRequest request = parser.encode_request(*line, lines);
      if (decode_base64(encode_base64(request.bytes)) != request.bytes)
        fail("base64 there and back");
    });
    refuses([&] { parser.decode_request(*line, lines); });
  }
}

}  // namespace

const AllowedBytes kAllowedBytes = kStrict;

void try_input(std::string_view input) {
  const Path path = write_file("corpus.jsonl", input);
  walk(path, false);
  walk(path, true);
  read_requests(input);
}

}  // namespace ovid::fuzz
