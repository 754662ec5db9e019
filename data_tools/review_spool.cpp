#include "data_tools/review_spool.h"

#include <cstring>
#include <filesystem>
#include <span>
#include <type_traits>

#include "data_tools/output_folder.h"
#include "src/core/error.h"

namespace ovid::data_tools {
namespace {

constexpr const char* kName = "waiting.reviews";
constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kForgetBytes = 16 << 20;

struct Header {
  std::uint32_t category = 0;
  std::uint16_t stars = 0;
  std::uint16_t part = 0;
  std::uint32_t headline_bytes = 0;  // lines are shorter than 256 MiB
  std::uint32_t body_bytes = 0;
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 16);

}  // namespace

ReviewSpool::ReviewSpool(const Path& directory, std::uint64_t bytes)
    : file_(bytes == 0 ? directory / kName : cut_back(directory / kName, bytes),
            bytes == 0 ? WriteMode::kTruncate : WriteMode::kAppend),
      bytes_(bytes) {}

void ReviewSpool::remove_file(const Path& directory) {
  std::filesystem::remove(directory / kName);
}

void ReviewSpool::add(const KeptReview& review) {
  const Header header{.category = review.category,
                      .stars = static_cast<std::uint16_t>(review.stars),
                      .part = static_cast<std::uint16_t>(review.part),
                      .headline_bytes = static_cast<std::uint32_t>(review.headline.size()),
                      .body_bytes = static_cast<std::uint32_t>(review.body.size())};
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  buffer_.append(review.headline).append(review.body);
  bytes_ += sizeof header + review.headline.size() + review.body.size();
  if (buffer_.size() >= kBufferBytes) flush();
}

void ReviewSpool::flush() {
  file_.write(buffer_);
  buffer_.clear();
}

void ReviewSpool::sync() {
  flush();
  file_.sync();
}

void ReviewSpool::for_each(const std::function<void(const KeptReview&)>& visit) {
  flush();
  const MappedFile file(file_.path());
  const std::span<const std::byte> bytes = file.bytes();
  std::size_t forgotten = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    Header header;
    if (bytes.size() - at < sizeof header) throw ResourceError("the waiting reviews were cut");
    std::memcpy(&header, bytes.data() + at, sizeof header);
    at += sizeof header;
    const std::uint64_t length = std::uint64_t{header.headline_bytes} + header.body_bytes;
    if (bytes.size() - at < length) throw ResourceError("the waiting reviews were cut");
    const auto* text = reinterpret_cast<const char*>(bytes.data() + at);
    visit({.stars = header.stars,
           .part = static_cast<Part>(header.part),
           .category = header.category,
           .headline = {text, header.headline_bytes},
           .body = {text + header.headline_bytes, header.body_bytes}});
    at += length;
    if (at - forgotten < kForgetBytes) continue;
    forget_mapped(bytes.subspan(forgotten, at - forgotten));
    forgotten = at;
  }
}

}  // namespace ovid::data_tools
