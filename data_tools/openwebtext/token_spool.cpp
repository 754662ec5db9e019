#include "data_tools/openwebtext/token_spool.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "src/core/error.h"

namespace ovid::data_tools::openwebtext {
namespace {

constexpr const char* kSpoolName = "documents.spool";
constexpr const char* kOffsetsName = "documents.offsets";
constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::uint64_t kForgetBytes = 32 << 20;

struct Header {
  std::uint64_t tokens;
  std::uint64_t text_bytes;
  std::uint64_t overlap_ngrams;
  std::uint64_t overlap_found;
  std::uint64_t name_bytes;  // as stored: even, so that tokens are aligned
};

void cut_to(const Path& path, std::uint64_t bytes) {
  if (bytes == 0) {
    OutputFile(path, WriteMode::kTruncate).close();
    return;
  }
  std::error_code error;
  const std::uint64_t held = std::filesystem::file_size(path, error);
  if (error || held < bytes) {
    throw DataError(
        fmt::format("{} holds {} bytes, and the record of the work says {}; begin anew with "
                    "--restart",
                    path.string(), error ? 0 : held, bytes));
  }
  std::filesystem::resize_file(path, bytes, error);
  if (error) throw ResourceError(fmt::format("cannot cut {}: {}", path.string(), error.message()));
}

}  // namespace

TokenSpool::TokenSpool(const Path& folder, const TokenSpoolState& state)
    : folder_(folder), state_(state) {
  cut_to(folder / kSpoolName, state.bytes);
  cut_to(folder / kOffsetsName, state.documents * sizeof(std::uint64_t));
  spool_.emplace(folder / kSpoolName, WriteMode::kAppend);
  offsets_.emplace(folder / kOffsetsName, WriteMode::kAppend);
}

void TokenSpool::add(const SpooledDocument& document) {
  const bool odd = document.name.size() % 2 != 0;
  const Header header{.tokens = document.tokens.size(),
                      .text_bytes = document.text_bytes,
                      .overlap_ngrams = document.overlap_ngrams,
                      .overlap_found = document.overlap_found,
                      .name_bytes = document.name.size() + (odd ? 1 : 0)};
  offset_buffer_.append(reinterpret_cast<const char*>(&state_.bytes), sizeof state_.bytes);
  const std::size_t before = buffer_.size();
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  buffer_.append(document.name);
  if (odd) buffer_.push_back('\0');
  const auto tokens = std::as_bytes(document.tokens);
  buffer_.append(reinterpret_cast<const char*>(tokens.data()), tokens.size());
  state_.bytes += buffer_.size() - before;
  ++state_.documents;
  if (buffer_.size() >= kBufferBytes) flush();
}

void TokenSpool::flush() {
  spool_->write(buffer_);
  offsets_->write(offset_buffer_);
  buffer_.clear();
  offset_buffer_.clear();
}

void TokenSpool::sync() {
  flush();
  spool_->sync();
  offsets_->sync();
}

SpooledTokens::SpooledTokens(const Path& folder, const TokenSpoolState& state)
    : state_(state), spool_(folder / kSpoolName), offsets_(folder / kOffsetsName) {
  if (spool_.bytes().size() < state.bytes ||
      offsets_.bytes().size() / sizeof(std::uint64_t) < state.documents) {
    throw DataError(
        fmt::format("{} is cut; begin anew with --restart", (folder / kSpoolName).string()));
  }
}

SpooledDocument SpooledTokens::read_at(std::uint64_t& offset) const {
  const auto damaged = [&] {
    return DataError(
        fmt::format("{} is damaged; begin anew with --restart", spool_.path().string()));
  };
  Header header;
  if (offset % 2 != 0 || offset > state_.bytes || state_.bytes - offset < sizeof header) {
    throw damaged();
  }
  const auto rest = spool_.bytes().first(state_.bytes).subspan(offset);
  std::memcpy(&header, rest.data(), sizeof header);
  const std::uint64_t room = rest.size() - sizeof header;
  if (header.name_bytes > room || header.tokens > (room - header.name_bytes) / 2) throw damaged();
  const auto* name = reinterpret_cast<const char*>(rest.data()) + sizeof header;
  std::string_view spelled(name, header.name_bytes);
  if (spelled.ends_with('\0')) spelled.remove_suffix(1);
  offset += sizeof header + header.name_bytes + 2 * header.tokens;
  return {
      .name = spelled,
      .text_bytes = header.text_bytes,
      .overlap_ngrams = header.overlap_ngrams,
      .overlap_found = header.overlap_found,
      .tokens = {reinterpret_cast<const std::uint16_t*>(name + header.name_bytes), header.tokens}};
}

void SpooledTokens::for_each(
    const std::function<void(std::uint64_t, const SpooledDocument&, std::uint64_t)>& visit) const {
  std::uint64_t offset = 0;
  std::uint64_t forgotten = 0;
  for (std::uint64_t number = 0; number < state_.documents; ++number) {
    const SpooledDocument document = read_at(offset);
    visit(number, document, offset);
    if (offset - forgotten < kForgetBytes) continue;
    forget_mapped(spool_.bytes().subspan(forgotten, offset - forgotten));
    forgotten = offset;
  }
}

SpooledDocument SpooledTokens::document(std::uint64_t number) const {
  std::uint64_t offset = 0;
  std::memcpy(&offset, offsets_.bytes().data() + number * sizeof offset, sizeof offset);
  return read_at(offset);
}

}  // namespace ovid::data_tools::openwebtext
