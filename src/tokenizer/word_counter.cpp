#include "src/tokenizer/pre_tokenizer.h"
#include "src/tokenizer/train.h"

namespace ovid::tokenizer {

void WordCounter::add_document(std::string_view document) {
  for (std::size_t begin = 0, end = 0; begin < document.size(); begin = end) {
    end = piece_end(document, begin);
    const std::string_view piece = document.substr(begin, end - begin);
    const auto known = counts_.find(piece);
    if (known != counts_.end()) {
      ++known->second;
    } else {
      counts_.emplace(piece, 1);
    }
  }
  bytes_ += document.size();
}

void WordCounter::add(const WordCounter& other) {
  for (const auto& [piece, count] : other.counts_) counts_[piece] += count;
  bytes_ += other.bytes_;
}

}  // namespace ovid::tokenizer
