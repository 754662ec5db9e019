#include "data_tools/document_spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "data_tools/byte_source.h"
#include "data_tools/output_folder.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr std::size_t kBufferTokens = 1 << 19;

Path tokens_path(const Path& directory) {
  return directory / "waiting.tokens";
}

Path lengths_path(const Path& directory) {
  return directory / "waiting.lengths";
}

std::uint64_t ended_documents(const DocumentSpoolState& state) {
  return state.documents > 0 ? state.documents - 1 : 0;
}

}  // namespace

DocumentSpool::DocumentSpool(const Path& directory)
    : directory_(directory),
      tokens_(tokens_path(directory), WriteMode::kTruncate),
      lengths_(lengths_path(directory), WriteMode::kTruncate) {}

DocumentSpool::DocumentSpool(const Path& directory, const DocumentSpoolState& state)
    : directory_(directory),
      tokens_(cut_back(tokens_path(directory), 2 * state.tokens), WriteMode::kAppend),
      lengths_(cut_back(lengths_path(directory), sizeof(Lengths) * ended_documents(state)),
               WriteMode::kAppend) {
  const MappedFile saved(lengths_path(directory));
  documents_.resize(saved.bytes().size() / sizeof(Lengths));
  if (!documents_.empty()) {
    std::memcpy(documents_.data(), saved.bytes().data(), documents_.size() * sizeof(Lengths));
  }
  written_lengths_ = documents_.size();
  if (state.documents > 0) documents_.push_back({state.last_tokens, state.last_bytes});
  total_tokens_ = state.tokens;
  std::uint64_t sum = 0;
  for (const Lengths& document : documents_) sum += document.tokens;
  if (sum != total_tokens_) {
    throw DataError(
        fmt::format("{} is damaged; begin anew with --restart", lengths_path(directory).string()));
  }
}

void DocumentSpool::remove_files(const Path& directory) {
  std::error_code ignored;
  std::filesystem::remove(tokens_path(directory), ignored);
  std::filesystem::remove(lengths_path(directory), ignored);
}

void DocumentSpool::begin_document() {
  documents_.emplace_back();
}

void DocumentSpool::add(std::span<const std::uint16_t> tokens, std::uint64_t text_bytes) {
  buffer_.insert(buffer_.end(), tokens.begin(), tokens.end());
  documents_.back().tokens += tokens.size();
  documents_.back().bytes += text_bytes;
  total_tokens_ += tokens.size();
  if (buffer_.size() >= kBufferTokens) flush();
}

void DocumentSpool::flush() {
  tokens_.write(std::as_bytes(std::span(buffer_)));
  buffer_.clear();
}

void DocumentSpool::sync() {
  flush();
  const std::size_t ended = documents_.empty() ? 0 : documents_.size() - 1;
  lengths_.write(
      std::as_bytes(std::span(documents_).subspan(written_lengths_, ended - written_lengths_)));
  written_lengths_ = ended;
  tokens_.sync();
  lengths_.sync();
}

DocumentSpoolState DocumentSpool::state() const {
  if (documents_.empty()) return {};
  return {.documents = documents_.size(),
          .tokens = total_tokens_,
          .last_tokens = documents_.back().tokens,
          .last_bytes = documents_.back().bytes};
}

void DocumentSpool::for_each_part(const std::function<void(const Part&)>& visit) {
  flush();
  // Read, not mapped: pages of a mapping would count as this program's memory.
  FileSource file(tokens_path(directory_).string(), nullptr, FileSource::AtSignal::kReadOn);
  std::vector<std::uint16_t> part(kBufferTokens);
  for (std::uint64_t index = 0; index < documents_.size(); ++index) {
    std::uint64_t left = documents_[index].tokens;
    for (bool begins = true; begins || left > 0; begins = false) {
      const std::size_t count = std::min<std::uint64_t>(left, part.size());
      for (std::size_t have = 0; have < 2 * count;) {
        const std::size_t read =
            file.read({reinterpret_cast<char*>(part.data()) + have, 2 * count - have});
        if (read == 0) {
          throw DataError(fmt::format("{} was cut by something else; begin anew with --restart",
                                      tokens_path(directory_).string()));
        }
        have += read;
      }
      left -= count;
      visit({.document = documents_[index],
             .begins = begins,
             .index = index,
             .tokens = std::span(part).first(count)});
    }
  }
}

}  // namespace ovid::data_tools
