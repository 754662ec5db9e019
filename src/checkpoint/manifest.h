#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/checkpoint/run_checkpoint.h"
#include "src/checkpoint/safetensors_writer.h"
#include "src/core/file.h"

namespace ovid::checkpoint {

inline constexpr const char* kManifestFile = "manifest.json";
inline constexpr int kFormatVersion = 3;  // the latest that is read: with adapter/
// What is written where there is no folder, or average/ alone.
inline constexpr int kFlatFormatVersion = 1;
inline constexpr int kAverageFormatVersion = 2;

// What a checkpoint consists of. manifest.json is written last; a flipped bit in it is found by its
// own checksum.
struct Manifest {
  int format_version = kFlatFormatVersion;
  std::int64_t step = 0;
  // All but the manifest itself, by name: of a file beside it ("config.json"), or of one in a
  // folder that there may be ("average/config.json", "adapter/adapter_config.json").
  std::map<std::string, WrittenFile> files;
  std::map<std::string, std::string> metadata;
};

// The text of manifest.json. Its "checksum" is the XXH3-128 of the whole text with 32 zeros in the
// checksum's place.
std::string manifest_text(const Manifest& manifest);

// Reads and checks manifest.json. Throws CheckpointError: absent, altered, of a later format
// version.
Manifest read_manifest(const Path& checkpoint);

// The same of a file that is no checkpoint's manifest but is written as one.
Manifest read_manifest_file(const Path& path);

// Files of the manifest that are absent or of another size or (with kAllBytes) hash, a sentence
// each.
std::vector<std::string> compare_files(const Path& checkpoint, const Manifest& manifest,
                                       HashCheck check);

}  // namespace ovid::checkpoint
