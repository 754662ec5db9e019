#include "data_tools/pieces.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

#include "data_tools/interruption.h"
#include "data_tools/safe_cut.h"
#include "src/core/error.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
// Text without one space or line end after a character for this long is no text.
constexpr std::size_t kMostUncutBytes = 512 << 20;
constexpr std::size_t kBatchBytes = 16 << 20;
constexpr std::size_t kBatchPieces = 1 << 15;

}  // namespace

std::size_t PieceBatcher::worker_count() {
  // The cores that this process may use, which in a container are fewer than the machine has.
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) {
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&cores)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

PieceBatcher::PieceBatcher(InvalidUtf8 invalid_utf8, Work work, Take take)
    : invalid_utf8_(invalid_utf8), work_(std::move(work)), take_(std::move(take)) {}

void PieceBatcher::begin_document(const std::string& name) {
  document_ = name;
  pending_.clear();
  offset_ = 0;
}

void PieceBatcher::add(std::string_view bytes) {
  pending_ += bytes;
  bytes_ += bytes.size();
  // Twice the piece, so that the search for a cut, from the back, never runs into its start.
  while (pending_.size() >= 2 * kPieceBytes) {
    const std::size_t cut = last_safe_cut(std::string_view(pending_).substr(0, kPieceBytes + 1));
    const std::size_t length = cut != 0 ? cut : last_safe_cut(pending_);
    if (length == 0) break;
    cut_piece(length, false);
  }
  if (pending_.size() > kMostUncutBytes) {
    throw DataError(
        fmt::format("{} has no space or line end within {} bytes from byte {} on; it "
                    "is not text, or needs line ends",
                    document_, pending_.size(), offset_));
  }
}

void PieceBatcher::end_document() {
  if (offset_ == 0 && pending_.empty()) {
    ++empty_documents_;
    return;
  }
  ++documents_;
  cut_piece(pending_.size(), true);
}

void PieceBatcher::cut_piece(std::size_t length, bool ends_document) {
  Piece piece;
  piece.text = pending_.substr(0, length);
  piece.document = document_;
  piece.offset = offset_;
  piece.begins_document = offset_ == 0;
  piece.ends_document = ends_document;
  pending_.erase(0, length);
  offset_ += length;
  batch_bytes_ += length;
  batch_.push_back(std::move(piece));
  if (batch_bytes_ >= kBatchBytes || batch_.size() >= kBatchPieces) work_on_batch();
}

void PieceBatcher::work_on_piece(std::size_t worker, Piece& piece) const {
  if (invalid_utf8_ != InvalidUtf8::kBytes) {
    if (const auto invalid = tokenizer::find_invalid_utf8(piece.text)) {
      if (invalid_utf8_ == InvalidUtf8::kError) {
        throw DataError(
            fmt::format("{} is not UTF-8 at byte {}; convert it, or pass "
                        "--invalid-utf8 replace",
                        piece.document, piece.offset + *invalid));
      }
      tokenizer::ReplacedText replaced = tokenizer::replace_invalid_utf8(piece.text);
      piece.text = std::move(replaced.text);
      piece.replacements = replaced.replacements;
    }
  }
  work_(worker, piece);
}

void PieceBatcher::work_on_batch() {
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> failures(batch_.size());
  const auto run = [&](std::size_t worker) {
    for (std::size_t i = next++; i < batch_.size(); i = next++) {
      try {
        work_on_piece(worker, batch_[i]);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t count = std::min(worker_count(), batch_.size());
    for (std::size_t worker = 1; worker < count; ++worker) workers.emplace_back(run, worker);
    run(0);
  }
  check_interruption();
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    if (failures[i]) std::rethrow_exception(failures[i]);
    replacements_ += batch_[i].replacements;
    take_(batch_[i]);
  }
  batch_.clear();
  batch_bytes_ = 0;
}

void PieceBatcher::finish() {
  work_on_batch();
}

}  // namespace ovid::data_tools
