#include <fmt/format.h>

#include "data_tools/archive.h"
#include "src/core/error.h"

// Stands in for archive.cpp in a build without libarchive.
namespace ovid::data_tools {

void for_each_member(ByteSource&, const std::string& name, const MemberVisitor&,
                     const PassedOverVisitor&) {
  throw DataError(
      fmt::format("cannot unpack {}: this ovid-data was built without libarchive; "
                  "unpack it first, or build with libarchive-dev installed",
                  name));
}

}  // namespace ovid::data_tools
