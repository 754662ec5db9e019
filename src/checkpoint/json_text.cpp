#include "src/checkpoint/json_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/core/error.h"

namespace ovid::checkpoint {

int nesting_depth(std::string_view json) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

std::string read_json_file(const Path& path, std::uint64_t limit) {
  constexpr int kMaxDepth = 64;
  std::string text;
  try {
    text = read_file(path, limit);
  } catch (const DataError& error) {
    throw CheckpointError(error.what());
  }
  if (const int depth = nesting_depth(text); depth > kMaxDepth) {
    throw CheckpointError(fmt::format("{} nests {} levels deep, more than the {} that are read",
                                      path.string(), depth, kMaxDepth));
  }
  return text;
}

std::string printable(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.size() > 255) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

}  // namespace ovid::checkpoint
