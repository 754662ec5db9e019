#pragma once

#include <functional>
#include <string>

#include "data_tools/byte_source.h"

namespace ovid::data_tools {

// Whether a name ends like a compressed file or an archive: .gz .xz .zst .bz2 .lz4 .tar .tgz .txz
// .tbz .tbz2 .tzst .zip.
bool is_archive_name(const std::string& name);

// Calls visit(name, content) for each regular file in the archive or compressed file that `source`
// holds, in its order, while decompressing: nothing is kept or written. A compressed file that is
// no archive has one member, named as the file without its last suffix. Members whose name begins
// with a dot, and what is not a regular file, are passed over. Throws DataError naming the archive,
// and the member that it was in, where it is damaged, cut, of an unknown kind, or expands more than
// 200 times or asks for more memory than a window of 128 MiB takes (the message says how to get
// round that), and where the program was built without libarchive, or liblzma for xz.
using MemberVisitor = std::function<void(const std::string& name, ByteSource& content)>;
void for_each_member(ByteSource& source, const std::string& name, const MemberVisitor& visit);

}  // namespace ovid::data_tools
