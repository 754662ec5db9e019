#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace ovid::test {

// The text inside a .gz file. Throws std::runtime_error where it cannot be read.
std::string read_gzip(const std::filesystem::path& path);

// Calls `visit` with the name and bytes of each regular file of a .tar.xz.
void for_each_member(
    const std::filesystem::path& path,
    const std::function<void(const std::string& name, std::string_view bytes)>& visit);

}  // namespace ovid::test
