#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data_tools/documents.h"
#include "src/tokenizer/tokenizer.h"

namespace ovid::data_tools {

// What becomes of bytes that are not UTF-8: U+FFFD, an error that names the place, or tokens that
// give the bytes back.
enum class InvalidUtf8 { kReplace, kError, kBytes };

// A document, or a part of a long one that was cut where its tokens fall apart (safe_cut.h).
struct Piece {
  std::string text;
  std::string document;      // its name, for messages
  std::uint64_t offset = 0;  // of the text in the document, in bytes
  bool begins_document = false;
  bool ends_document = false;
  // Filled by the worker:
  std::vector<tokenizer::TokenId> ids;
  std::uint64_t replacements = 0;
};

// Gathers documents into pieces of about a MiB and works on many at a time, on all of this
// process's cores, while their results come out in order. Memory: some 16 MiB of text and its
// tokens. Empty documents are counted and passed over.
class PieceBatcher : public DocumentVisitor {
 public:
  // `work` runs on worker threads, `worker` in [0, worker_count()); `take` on the calling thread,
  // in order. What either throws reaches the caller of add, end_document or finish; of several
  // pieces that failed, the first one's.
  using Work = std::function<void(std::size_t worker, Piece& piece)>;
  using Take = std::function<void(Piece& piece)>;
  PieceBatcher(InvalidUtf8 invalid_utf8, Work work, Take take);

  static std::size_t worker_count();

  void begin_document(const std::string& name) override;
  void add(std::string_view bytes) override;
  void end_document() override;
  void finish();  // works on what is left

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t documents() const { return documents_; }
  std::uint64_t empty_documents() const { return empty_documents_; }
  std::uint64_t replacements() const { return replacements_; }

 private:
  void cut_piece(std::size_t length, bool ends_document);
  void work_on_batch();
  void work_on_piece(std::size_t worker, Piece& piece) const;

  InvalidUtf8 invalid_utf8_;
  Work work_;
  Take take_;
  std::string document_;
  std::string pending_;       // of the current document
  std::uint64_t offset_ = 0;  // of pending_ in it
  std::vector<Piece> batch_;
  std::size_t batch_bytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t documents_ = 0;
  std::uint64_t empty_documents_ = 0;
  std::uint64_t replacements_ = 0;
};

}  // namespace ovid::data_tools
