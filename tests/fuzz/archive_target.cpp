#include "data_tools/documents.h"
#include "tests/fuzz/fuzz_target.h"

// An archive or compressed file of any kind: what it is stands in its bytes, the name says only
// that it is one. Members may be texts, JSON lines and archives.
namespace ovid::fuzz {
namespace {

// More than a small input expands to before the check against bombs ends it, at one level.
class BoundedVisitor : public data_tools::DocumentVisitor {
 public:
  void begin_document(const std::string& name) override { check_shown(name); }
  void add(std::string_view bytes) override {
    bytes_ += bytes.size();
    if (bytes_ > kMostBytes) throw DataError("enough of this");
  }
  void end_document() override {}

 private:
  static constexpr std::size_t kMostBytes = 16 * kMiB;
  std::size_t bytes_ = 0;
};

}  // namespace

// Ours: a line of JSON that expands up to the limit against bombs. malloc: the windows that xz and
// zstd files may ask for, 128 MiB each, of archives in archives at the same time.
const AllowedBytes kAllowedBytes{.ours = 160 * kMiB, .malloc_ = 640 * kMiB};

void try_input(std::string_view input) {
  const Path path = write_file("corpus.tar", input);
  refuses([&] {
    data_tools::InputOptions options;
    options.inputs = {path.string()};
    options.skip_bad_lines = true;
    options.skip_missing_field = true;
    BoundedVisitor visitor;
    data_tools::walk_documents(options, visitor);
  });
}

}  // namespace ovid::fuzz
