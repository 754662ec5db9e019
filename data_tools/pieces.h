#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/documents.h"
#include "data_tools/work_pool.h"
namespace ovid::data_tools {

// What becomes of bytes that are not UTF-8: U+FFFD, an error that names the place, or tokens that
// give the bytes back.
enum class InvalidUtf8 { kReplace, kError, kBytes };
const char* name_of(InvalidUtf8 choice);  // as on the command line

// A place in the inputs: behind so many pieces of the input of that number. How texts are cut into
// pieces depends on nothing but their bytes, so a place means the same in every run.
struct InputPlace {
  std::uint64_t input = 0;
  std::uint64_t pieces = 0;
  std::uint64_t hash = 0;  // of the bytes of those pieces

  bool operator==(const InputPlace&) const = default;
};

// A document, or a part of a long one that was cut where its tokens fall apart (safe_cut.h).
struct Piece {
  std::string text;
  std::string document;      // its name, for messages
  std::uint64_t offset = 0;  // of the text in the document, in bytes
  bool begins_document = false;
  bool ends_document = false;
  InputPlace place;  // behind this piece
  // Filled by the worker:
  std::vector<std::uint16_t> ids;
  std::uint64_t replacements = 0;
};

// What was seen of the inputs before one of them.
struct SeenBefore {
  std::uint64_t bytes = 0;
  std::uint64_t documents = 0;  // that are not empty
  std::uint64_t empty_documents = 0;
  WalkCounts walked;
};

// Gathers documents into pieces of about a MiB and lets a pool work on many at a time, while more
// are read, and their results come out in order. Memory: some MiB of text and its tokens for each
// thread. Empty documents are counted and passed over.
class PieceBatcher : public DocumentVisitor {
 public:
  // `work` runs on threads of the pool, `worker` in [0, pool.threads()), no two at a time with the
  // same; `take` on the calling thread, in order. What either throws reaches the caller of add,
  // end_document or finish; of several pieces that failed, the first one's, after those before it
  // were taken.
  using Work = std::function<void(std::size_t worker, Piece& piece)>;
  using Take = std::function<void(Piece& piece)>;
  PieceBatcher(InvalidUtf8 invalid_utf8, WorkPool& pool, Work work, Take take);
  ~PieceBatcher() override;  // stops the pool where finish() was not reached

  // Before the first begin_input, which then is `place.input`: passes over the pieces before
  // `place`, and counts as if `before` was seen. Throws UsageError at that place where the bytes
  // before it are others.
  void resume_behind(const InputPlace& place, const SeenBefore& before);

  void begin_input(std::uint64_t number, const WalkCounts& before) override;
  void begin_document(const std::string& name) override;
  void add(std::string_view bytes) override;
  void end_document() override;
  void finish();  // works on what is left
  // After Interrupted: works on the pieces that are cut already, and takes them.
  void finish_after_interruption();

  // The place that was to be resumed behind is not reached yet.
  bool is_passing_over() const { return passed_over_.has_value(); }
  const SeenBefore& seen() const { return seen_; }  // `walked` is not kept up to date
  // What was seen before an input of which a piece was taken or comes next.
  const SeenBefore& seen_before(std::uint64_t input) const;
  std::uint64_t replacements() const { return replacements_; }  // in what was taken

 private:
  struct Batch {
    std::vector<Piece> pieces;
    std::size_t bytes = 0;
    std::size_t failed = 0;  // index of the piece that threw `failure`
    std::exception_ptr failure;
    bool done = false;  // under the pool's lock
  };
  struct InputStart {
    std::uint64_t input;
    SeenBefore seen;
  };
  void cut_piece(std::size_t length, bool ends_document);
  bool is_passed_over(const InputPlace& place, const std::string& name);
  void check_resumed() const;
  void submit_batch();
  void work_on_batch(Batch& batch);
  void work_on_piece(std::size_t worker, Piece& piece) const;
  enum class Until { kDone, kAll, kAllThoughInterrupted };
  void take_batches(Until until);

  InvalidUtf8 invalid_utf8_;
  WorkPool& pool_;
  Work work_;
  Take take_;
  std::string document_;
  std::string pending_;  // of the current document, from begin_ on
  std::size_t begin_ = 0;
  std::size_t uncut_ = 0;     // of pending_[begin_...], known to hold no place for a cut
  std::uint64_t offset_ = 0;  // of pending_[begin_] in it
  InputPlace place_;          // behind the last piece that was cut
  std::optional<InputPlace> passed_over_;  // pieces up to here are not worked on again
  SeenBefore seen_;
  std::deque<InputStart> starts_;
  std::unique_ptr<Batch> filling_;
  std::deque<std::unique_ptr<Batch>> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::vector<std::size_t> free_workers_;  // under the pool's lock
  std::uint64_t replacements_ = 0;
};

}  // namespace ovid::data_tools
