#include "data_tools/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "data_tools/interruption.h"
#include "data_tools/safe_cut.h"
#include "src/core/checksum.h"
#include "src/core/error.h"
#include "src/tokenizer/utf8.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;
// Text without one space or line end after a character for this long is no text.
constexpr std::size_t kMostUncutBytes = 512 << 20;
constexpr std::size_t kBatchPieces = 1 << 12;
// What may wait for each thread: one batch that it works on, and the next.
constexpr std::size_t kWaitingBytesPerThread = 2 * kPieceBytes;

}  // namespace

const char* name_of(InvalidUtf8 choice) {
  switch (choice) {
    case InvalidUtf8::kReplace:
      return "replace";
    case InvalidUtf8::kError:
      return "error";
    case InvalidUtf8::kBytes:
      return "bytes";
  }
  return "";
}

PieceBatcher::PieceBatcher(InvalidUtf8 invalid_utf8, WorkPool& pool, Work work, Take take)
    : invalid_utf8_(invalid_utf8),
      pool_(pool),
      work_(std::move(work)),
      take_(std::move(take)),
      starts_{{0, {}}},
      filling_(std::make_unique<Batch>()) {
  for (std::size_t worker = pool.threads(); worker-- > 0;) free_workers_.push_back(worker);
}

PieceBatcher::~PieceBatcher() {
  if (!waiting_.empty()) pool_.stop();
}

void PieceBatcher::resume_behind(const InputPlace& place, const SeenBefore& before) {
  seen_ = before;
  starts_ = {{place.input, before}};
  place_ = {.input = place.input};
  if (place.pieces > 0) passed_over_ = place;
}

void PieceBatcher::begin_input(std::uint64_t number, const WalkCounts& before) {
  if (number != place_.input) check_resumed();
  seen_.walked = before;
  if (number != place_.input) place_ = {.input = number};
  if (starts_.back().input != number) starts_.push_back({number, seen_});
}

const SeenBefore& PieceBatcher::seen_before(std::uint64_t input) const {
  std::size_t i = 0;
  while (i + 1 < starts_.size() && starts_[i].input < input) ++i;
  return starts_[i].seen;
}

void PieceBatcher::begin_document(const std::string& name) {
  document_ = name;
  pending_.clear();
  begin_ = 0;
  uncut_ = 0;
  offset_ = 0;
}

void PieceBatcher::add(std::string_view bytes) {
  pending_ += bytes;
  seen_.bytes += bytes.size();
  // Twice the piece, so that the search for a cut, from the back, never runs into its start.
  while (pending_.size() - begin_ >= 2 * kPieceBytes) {
    const std::string_view text = std::string_view(pending_).substr(begin_);
    std::size_t length = uncut_ == 0 ? last_safe_cut(text.substr(0, kPieceBytes + 1)) : 0;
    // The first one behind, not the last: that would depend on how many bytes have come yet.
    if (length == 0) length = first_safe_cut(text, std::max(kPieceBytes, uncut_));
    uncut_ = length == 0 ? text.size() : 0;
    if (length == 0) break;
    cut_piece(length, false);
  }
  if (pending_.size() - begin_ > kMostUncutBytes) {
    throw DataError(
        fmt::format("{} has no space or line end within {} bytes from byte {} on; it "
                    "is not text, or needs line ends",
                    document_, pending_.size() - begin_, offset_));
  }
  pending_.erase(0, begin_);
  begin_ = 0;
}

void PieceBatcher::end_document() {
  if (offset_ == 0 && pending_.empty()) {
    ++seen_.empty_documents;
    return;
  }
  ++seen_.documents;
  cut_piece(pending_.size() - begin_, true);
}

void PieceBatcher::cut_piece(std::size_t length, bool ends_document) {
  const std::string_view text = std::string_view(pending_).substr(begin_, length);
  place_.hash = hash64(std::as_bytes(std::span(text)), place_.hash + text.size());
  ++place_.pieces;
  const std::uint64_t offset = offset_;
  begin_ += length;
  offset_ += length;
  if (is_passed_over(place_, document_)) return;
  filling_->bytes += length;
  filling_->pieces.push_back({.text = std::string(text),
                              .document = document_,
                              .offset = offset,
                              .begins_document = offset == 0,
                              .ends_document = ends_document,
                              .place = place_,
                              .ids = {}});
  if (filling_->bytes >= kPieceBytes / 2 || filling_->pieces.size() >= kBatchPieces) {
    submit_batch();
  }
}

bool PieceBatcher::is_passed_over(const InputPlace& place, const std::string& name) {
  if (!passed_over_) return false;
  if (place.pieces < passed_over_->pieces) return true;
  if (place.hash != passed_over_->hash) {
    throw UsageError(
        fmt::format("{} is not what it was when this work was interrupted: the text before this "
                    "place has changed; begin anew with --restart",
                    name));
  }
  passed_over_.reset();
  return true;
}

void PieceBatcher::check_resumed() const {
  if (!passed_over_) return;
  throw UsageError(
      fmt::format("the input ends after {} pieces of text, and {} were taken before this work was "
                  "interrupted: it has changed; begin anew with --restart",
                  place_.pieces, passed_over_->pieces));
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

void PieceBatcher::work_on_batch(Batch& batch) {
  std::size_t worker = 0;
  pool_.update([&] {
    worker = free_workers_.back();
    free_workers_.pop_back();
  });
  std::size_t i = 0;
  try {
    for (; i < batch.pieces.size(); ++i) work_on_piece(worker, batch.pieces[i]);
  } catch (...) {
    batch.failed = i;
    batch.failure = std::current_exception();
  }
  pool_.update([&] {
    free_workers_.push_back(worker);
    batch.done = true;
  });
}

void PieceBatcher::submit_batch() {
  if (filling_->pieces.empty()) return;
  Batch& batch = *filling_;
  waiting_bytes_ += batch.bytes;
  waiting_.push_back(std::move(filling_));
  filling_ = std::make_unique<Batch>();
  pool_.submit_urgent([this, &batch] { work_on_batch(batch); });
  take_batches(Until::kDone);
}

// Takes what is done; waits only where too much is on its way, or for all.
void PieceBatcher::take_batches(Until until) {
  const std::size_t most = kWaitingBytesPerThread * pool_.threads();
  while (!waiting_.empty()) {
    Batch& batch = *waiting_.front();
    bool done = false;
    if (until != Until::kDone || waiting_bytes_ >= most) {
      pool_.wait_until([&] { return batch.done; });
      done = true;
    } else {
      pool_.update([&] { done = batch.done; });
    }
    if (!done) return;
    if (until != Until::kAllThoughInterrupted) check_interruption();
    for (std::size_t i = 0; i < batch.pieces.size(); ++i) {
      if (batch.failure && i == batch.failed) std::rethrow_exception(batch.failure);
      replacements_ += batch.pieces[i].replacements;
      while (starts_.size() > 1 && starts_[1].input <= batch.pieces[i].place.input) {
        starts_.pop_front();
      }
      take_(batch.pieces[i]);
    }
    waiting_bytes_ -= batch.bytes;
    waiting_.pop_front();
  }
}

void PieceBatcher::finish() {
  submit_batch();
  take_batches(Until::kAll);
  check_resumed();
}

void PieceBatcher::finish_after_interruption() {
  try {
    take_batches(Until::kAllThoughInterrupted);
  } catch (const WorkPool::Stopped&) {
    // What the pool has dropped is read again by the next run.
  }
}

}  // namespace ovid::data_tools
