#include "src/checkpoint/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/checkpoint/checkpoint_names.h"
#include "src/checkpoint/json_text.h"
#include "src/core/checksum.h"
#include "src/core/error.h"

namespace ovid::checkpoint {
namespace {

constexpr const char* kFormat = "ovid-checkpoint";
constexpr std::size_t kDigits = 32;  // of an XXH3-128

[[noreturn]] void refuse(const Path& path, const std::string& reason) {
  throw CheckpointError(
      fmt::format("{} is not a valid manifest: {}", path.string(), printable(reason)));
}

// Replaces the checksum, which must stand in `text` exactly once. False where it does not.
bool replace_once(std::string& text, const std::string& from, const std::string& to) {
  const std::size_t position = text.find(from);
  if (position == std::string::npos || text.find(from, position + 1) != std::string::npos)
    return false;
  text.replace(position, from.size(), to);
  return true;
}

std::string checksum_field(const std::string& digits) {
  return "\"checksum\": \"" + digits + "\"";
}

std::string checksum_of_text(const std::string& text) {
  return checksum_of(std::as_bytes(std::span(text)));
}

// Whether the file's bytes are those that were written: the checksum over the text with zeros in
// its own place.
void check_own_checksum(const Path& path, std::string text, const std::string& checksum) {
  if (checksum.size() != kDigits ||
      !replace_once(text, checksum_field(checksum), checksum_field(std::string(kDigits, '0')))) {
    refuse(path, "its checksum is missing or malformed");
  }
  const std::string actual = checksum_of_text(text);
  if (actual != checksum)
    refuse(path, fmt::format("its checksum is {}, it says {}", actual, checksum));
}

// A name becomes part of a path: it may lead to no other place than the checkpoint itself and its
// folders.
bool is_member_name(std::string_view name) {
  const auto slash = name.find('/');
  if (slash != std::string_view::npos && is_folder(name.substr(0, slash)))
    name.remove_prefix(slash + 1);
  return is_plain_file_name(name) && name != kManifestFile && !is_folder(name);
}

// The library would turn a fraction, or a number that does not fit, into some other one: the result
// of a conversion beyond the range of the type is undefined.
template <class T>
T whole(const nlohmann::json& object, const char* key, const Path& path) {
  const nlohmann::json& value = object.at(key);
  const bool fits = value.is_number_unsigned()
                        ? std::in_range<T>(value.get<std::uint64_t>())
                        : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  if (!fits) refuse(path, fmt::format("{} is no whole number that fits", key));
  return value.get<T>();
}

Manifest parse_manifest(const nlohmann::json& document, const Path& path) {
  Manifest manifest;
  manifest.format_version = whole<int>(document, "format_version", path);
  manifest.step = whole<std::int64_t>(document, "step", path);
  manifest.metadata = document.at("metadata").get<Metadata>();
  for (const auto& [name, file] : document.at("files").items()) {
    if (!is_member_name(name)) refuse(path, fmt::format("the file name '{}'", name));
    manifest.files[name] = {whole<std::uint64_t>(file, "bytes", path),
                            file.at("xxh3_128").get<std::string>()};
  }
  return manifest;
}

std::string checksum_of_file(const Path& path) {
  const MappedFile file(path);
  constexpr std::size_t kPiece = std::size_t{1} << 24;
  Checksum checksum;
  for (std::size_t at = 0; at < file.bytes().size(); at += kPiece) {
    const auto piece = file.bytes().subspan(at, std::min(kPiece, file.bytes().size() - at));
    checksum.update(piece);
    forget_mapped(piece);
  }
  return checksum.digest();
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::object();
  for (const auto& [name, file] : manifest.files)
    files[name] = {{"bytes", file.bytes}, {"xxh3_128", file.checksum}};
  const nlohmann::ordered_json document = {
      {"format", kFormat},
      {"format_version", manifest.format_version},
      {"step", manifest.step},
      {"files", files},
      {"metadata", manifest.metadata},
      {"checksum", std::string(kDigits, '0')},
  };
  std::string text = document.dump(2) + "\n";
  // The last occurrence: a metadata value cannot hold the field's bare quotes, but a metadata key
  // could be "checksum".
  const std::size_t position = text.rfind(checksum_field(std::string(kDigits, '0')));
  text.replace(position, checksum_field("").size() + kDigits,
               checksum_field(checksum_of_text(text)));
  return text;
}

Manifest read_manifest(const Path& checkpoint) {
  return read_manifest_file(checkpoint / kManifestFile);
}

Manifest read_manifest_file(const Path& path) {
  const std::string text = read_json_file(path);
  try {
    const nlohmann::json document = nlohmann::json::parse(text);
    if (document.at("format") != kFormat)
      refuse(path, fmt::format("its format is not '{}'", kFormat));
    const auto& version = document.at("format_version");
    if (version.is_number_integer() && version > kFormatVersion) {
      refuse(path,
             fmt::format("its format version is {}, this program reads up to {}: use a later Ovid",
                         version.get<std::int64_t>(), kFormatVersion));
    }
    check_own_checksum(path, text, document.at("checksum").get<std::string>());
    return parse_manifest(document, path);
  } catch (const nlohmann::json::exception& error) {
    refuse(path, error.what());
  }
}

std::vector<std::string> compare_files(const Path& checkpoint, const Manifest& manifest,
                                       HashCheck check) {
  std::vector<std::string> problems;
  for (const auto& [name, written] : manifest.files) {
    try {
      const std::uint64_t bytes = size_of_file(checkpoint / name);
      if (bytes != written.bytes) {
        problems.push_back(
            fmt::format("{} has {} bytes, the manifest says {}", name, bytes, written.bytes));
      } else if (check == HashCheck::kAllBytes) {
        const std::string checksum = checksum_of_file(checkpoint / name);
        if (checksum != written.checksum) {
          problems.push_back(fmt::format("{} has the hash {}, the manifest says {}", name, checksum,
                                         written.checksum));
        }
      }
    } catch (const Error& error) {
      problems.push_back(error.what());
    }
  }
  return problems;
}

}  // namespace ovid::checkpoint
