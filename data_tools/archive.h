#pragma once

#include <functional>
#include <string>

#include "data_tools/byte_source.h"

namespace ovid::data_tools {

// Whether a name ends like a compressed file or an archive: .gz .xz .zst .bz2 .lz4 .tar .tgz .txz
// .tbz .tbz2 .tzst .zip.
bool is_archive_name(const std::string& name);

// Why a member of an archive is passed over.
enum class PassedOver {
  kUnsafeName,  // absolute, or with a part ".."
  kNotAFile,    // a link, a device, a pipe; `what` names it
};
using PassedOverVisitor =
    std::function<void(const std::string& name, PassedOver why, const std::string& what)>;

// Calls visit(name, content) for each regular file in the archive or compressed file that `source`
// holds, in its order, while decompressing: nothing is kept or written. A compressed file that is
// no archive has one member, named as the file without its last suffix. Members whose name begins
// with a dot, and what is not a regular file, are passed over. Where `passed_over` is set, it is
// told of the latter but folders, and members with an unsafe name are passed over too (they do no
// harm where nothing is written by that name). Throws DataError naming the archive,
// and the member that it was in, where it is damaged, cut, of an unknown kind, or expands more than
// 200 times or asks for more memory than a window of 128 MiB takes (the message says how to get
// round that), and where the program was built without libarchive, or liblzma for xz.
using MemberVisitor = std::function<void(const std::string& name, ByteSource& content)>;
void for_each_member(ByteSource& source, const std::string& name, const MemberVisitor& visit,
                     const PassedOverVisitor& passed_over = {});

}  // namespace ovid::data_tools
