#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "src/metrics/tensorboard_writer.h"

// The bytes of TensorBoard's event files: protocol buffers encoded by hand, for the few messages
// that Ovid writes. Sources: TensorFlow's event.proto and summary.proto, TensorBoard's
// plugin_data.proto of hparams, lib/io/record_writer of TensorFlow.
namespace ovid::metrics {

// CRC-32C (Castagnoli), as RFC 3720 defines it: of "123456789" it is 0xe3069283.
std::uint32_t crc32c(std::string_view bytes);

// An event as it stands in a file: length, masked checksum of the length, event, masked checksum of
// the event.
std::string event_record(std::string_view event);

// The event that every file begins with.
std::string file_version_event(double time);

// A process begins to report at `first_step`: what stands elsewhere of it and of later steps is
// void.
std::string session_start_event(double time, std::int64_t first_step);

std::string scalars_event(double time, std::int64_t step, std::span<const TaggedScalar> values);

// `text` is valid UTF-8, and is shown as Markdown.
std::string text_event(double time, std::int64_t step, std::string_view tag, std::string_view text);

std::string hyperparameters_event(double time,
                                  const std::map<std::string, HyperparameterValue>& values,
                                  std::string_view group);

std::string session_end_event(double time, SessionStatus status);

}  // namespace ovid::metrics
