#include <fmt/format.h>

#include "data_tools/xz_source.h"
#include "src/core/error.h"

// Stands in for xz_source.cpp in a build without liblzma.
namespace ovid::data_tools {

struct XzSource::Decoder {};

XzSource::XzSource(ByteSource& source, const std::string& name) : source_(source), name_(name) {
  throw DataError(
      fmt::format("cannot unpack {}: this ovid-data was built without liblzma; unpack it with "
                  "xz -d first, or build with liblzma-dev installed",
                  name));
}

XzSource::~XzSource() = default;

std::size_t XzSource::read(std::span<char>) {
  return 0;
}

}  // namespace ovid::data_tools
