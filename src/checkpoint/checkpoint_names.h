#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/core/file.h"

// The names inside RUN/checkpoints/. Only step-NNNNNNNN is ever read as a checkpoint.
namespace ovid::checkpoint {

inline constexpr const char* kTemporaryPrefix = ".tmp-";  // being written
inline constexpr const char* kReplacedPrefix = ".old-";  // set aside until its successor is durable
inline constexpr const char* kTrashPrefix = ".trash-";   // being deleted
inline constexpr const char* kDamagedPrefix = ".bad-";   // quarantined
inline constexpr const char* kPinExtension = ".pinned";  // of an empty file beside a checkpoint
inline constexpr const char* kLatestFile = "latest";
// The folders that a checkpoint may have.
inline constexpr const char* kAverageFolder = "average";
inline constexpr const char* kAdapterFolder = "adapter";
inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterTensors = "adapter_model.safetensors";
inline bool is_folder(std::string_view name) {
  return name == kAverageFolder || name == kAdapterFolder;
}

Path checkpoints_directory(const Path& run_directory);

// "step-00001234"; more digits where the step needs them.
std::string step_name(std::int64_t step);
// The step of such a name. Nothing for every other name.
std::optional<std::int64_t> parse_step_name(std::string_view name);

// "step-00001234.pinned", the empty file that keeps a checkpoint from being pruned.
std::string pin_name(std::int64_t step);

// PREFIX + step_name + "-" + 16 random hexadecimal digits. No clock takes part: clocks jump.
std::string unique_name(const char* prefix, std::int64_t step);

// The same with the digits of a number that several ranks know.
std::string shared_name(const char* prefix, std::int64_t step, std::uint64_t attempt);

// The steps of all checkpoint directories, ascending; empty where the run has none. Throws
// ResourceError.
std::vector<std::int64_t> list_steps(const Path& run_directory);

}  // namespace ovid::checkpoint
