#include "data_tools/xz_source.h"

#include <fmt/format.h>
#include <lzma.h>

#include <new>
#include <vector>

#include "src/core/error.h"

namespace ovid::data_tools {

struct XzSource::Decoder {
  lzma_stream stream = LZMA_STREAM_INIT;
  std::vector<char> buffer = std::vector<char>(1 << 16);
  bool input_ended = false;
  bool ended = false;

  ~Decoder() { lzma_end(&stream); }
};

XzSource::XzSource(ByteSource& source, const std::string& name)
    : source_(source), name_(name), decoder_(std::make_unique<Decoder>()) {
  const lzma_ret result = lzma_stream_decoder(&decoder_->stream, kMostMemory, LZMA_CONCATENATED);
  if (result != LZMA_OK) throw std::bad_alloc();
}

XzSource::~XzSource() = default;

std::size_t XzSource::read(std::span<char> buffer) {
  Decoder& d = *decoder_;
  if (d.ended || buffer.empty()) return 0;
  d.stream.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
  d.stream.avail_out = buffer.size();
  while (d.stream.avail_out == buffer.size()) {
    if (d.stream.avail_in == 0 && !d.input_ended) {
      const std::size_t count = source_.read(d.buffer);
      bytes_in_ += count;
      d.input_ended = count == 0;
      d.stream.next_in = reinterpret_cast<const std::uint8_t*>(d.buffer.data());
      d.stream.avail_in = count;
    }
    const lzma_ret result = lzma_code(&d.stream, d.input_ended ? LZMA_FINISH : LZMA_RUN);
    if (result == LZMA_OK) continue;
    if (result == LZMA_STREAM_END) {
      d.ended = true;
      break;
    }
    if (result == LZMA_MEMLIMIT_ERROR) {
      throw DataError(fmt::format(
          "cannot unpack {}: it asks for {} MiB of memory, and {} MiB is the limit; unpack it with "
          "xz -d and give the unpacked file, or pack it again with xz -9",
          name_, lzma_memusage(&d.stream) >> 20, kMostMemory >> 20));
    }
    if (result == LZMA_MEM_ERROR) throw std::bad_alloc();
    throw Damaged{d.input_ended ? "its xz data end too early" : "its xz data are damaged"};
  }
  return buffer.size() - d.stream.avail_out;
}

}  // namespace ovid::data_tools
